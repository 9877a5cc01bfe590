"""The teardown room: what its function may do is about this workload, and nothing may touch data or audit."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.names import MACHINES, QUERY, STARTING_QUEUES
from tests.infra.conftest import of_type, role_statements, texts

Templates = dict[str, dict[str, dict[str, Any]]]
STAGES = ("local", "dev", "prod")
ANYWHERE = {
    "Describe", "List", "scheduler:ListSchedules",
    "xray:", "lambda:UpdateEventSourceMapping", "application-autoscaling:DeregisterScalableTarget",
    "sagemaker:Stop", "glue:",
}  # fmt: skip
"""Beginnings of the actions (of the verb, or with the service) whose resources bear no workload in their names: lists
and looks, jobs (told apart by their role), a mapping (by its function), a target, the catalogue of the database."""


def statements(templates: Templates, stage: str) -> list[dict[str, Any]]:
    return [part for role, part in role_statements(templates[stage]) if role.endswith("-teardown-machines")]


@pytest.mark.parametrize("stage", STAGES)
def test_what_it_deletes_or_changes_bears_the_workload_s_name(templates: Templates, stage: str) -> None:
    strange = [
        (action, resource)
        for statement in statements(templates, stage)
        for action in texts(statement["Action"])
        for resource in texts(statement["Resource"])
        if not any(action.startswith(one) or action.partition(":")[2].startswith(one) for one in ANYWHERE)
        and "electricity" not in resource
        and not action.startswith(("kms:", "dynamodb:", "logs:"))
    ]
    assert strange == []


@pytest.mark.parametrize("stage", STAGES)
def test_no_right_reaches_objects(templates: Templates, stage: str) -> None:
    actions = {action for one in statements(templates, stage) for action in texts(one["Action"])}
    assert not [one for one in actions if one.startswith("s3:")]
    assert {one for one in actions if one.startswith("dynamodb:")} == {"dynamodb:GetItem", "dynamodb:PutItem"}
    assert not [one for one in actions if one.startswith("kms:Schedule")]


@pytest.mark.parametrize("stage", STAGES)
def test_it_knows_every_machine_that_is_deployed(templates: Templates, stage: str) -> None:
    """A machine that it does not know would go on while everything is torn down."""
    machines = [one["StateMachineName"] for one in of_type(templates[stage], "AWS::StepFunctions::StateMachine")]
    deployed = {name.rpartition("-electricity-")[2] for name in machines if "-electricity-" in name}
    assert deployed == {*MACHINES, "teardown"} - {QUERY}


@pytest.mark.parametrize("stage", STAGES)
def test_it_knows_every_queue_whose_messages_start_a_machine(templates: Templates, stage: str) -> None:
    """Name a new one in STARTING_QUEUES of millrace/names.py."""
    prefix = f"millrace-{stage}-electricity-"
    starting = {}
    for template in templates[stage].values():
        resources = template["Resources"]
        for one in resources.values():
            if one["Type"] != "AWS::Lambda::EventSourceMapping":
                continue
            function = one["Properties"]["FunctionName"].rpartition(":")[2]
            if not function.startswith(prefix):
                continue
            queue = resources[one["Properties"]["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]["QueueName"]
            if "states:StartExecution" in actions(resources, function):
                starting[queue.removeprefix(prefix)] = function.removeprefix(prefix)
    assert starting == STARTING_QUEUES


def actions(resources: dict[str, Any], function: str) -> set[str]:
    """What the function of this name may do."""
    return {
        action
        for one in resources.values()
        if one["Type"] == "AWS::Lambda::Function" and one["Properties"]["FunctionName"] == function
        for policy in resources[one["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in texts(statement["Action"])
    }


@pytest.mark.parametrize("stage", STAGES)
def test_it_may_pass_the_role_of_every_schedule(templates: Templates, stage: str) -> None:
    """To disable a schedule is to replace it, role included: name its room in SCHEDULING of the stack."""
    roles = {
        template["Resources"][one["Properties"]["Target"]["RoleArn"]["Fn::GetAtt"][0]]["Properties"]["RoleName"]
        for template in templates[stage].values()
        for one in template["Resources"].values()
        if one["Type"] == "AWS::Scheduler::Schedule"
    }
    passed = {
        resource.rpartition("/")[2]
        for one in statements(templates, stage)
        if "iam:PassRole" in texts(one["Action"])
        for resource in texts(one["Resource"])
    }
    assert roles
    assert passed == roles


def says_where(resource: dict[str, Any], tables: set[str]) -> bool:
    """Whether it is a parameter with the ARN of a table's stream."""
    value = resource["Properties"].get("Value", "") if resource["Type"] == "AWS::SSM::Parameter" else ""
    return value in [{"Fn::GetAtt": [table, "StreamArn"]} for table in tables]


@pytest.mark.parametrize("stage", STAGES)
def test_a_failed_first_deployment_leaves_no_name_that_the_next_one_needs(templates: Templates, stage: str) -> None:
    """What is kept goes where its creation is rolled back, but for layers, which no name keeps from being made again;
    what is protected from deletion is made last, so that nothing can fail after it. Only the parameter follows that
    says where the stream of a table is."""
    for name, template in templates[stage].items():
        found = template["Resources"]
        policies = {
            one.get("DeletionPolicy", "Delete") for one in found.values() if one["Type"] != "AWS::Lambda::LayerVersion"
        }
        assert policies <= {"Delete", "RetainExceptOnCreate"}, name
        protected = {key for key, one in found.items() if one.get("Properties", {}).get("DeletionProtectionEnabled")}
        for key in protected:
            others = {one for one in set(found) - protected if not says_where(found[one], protected)}
            assert others <= set(found[key]["DependsOn"]), f"{name}: {key}"
        assert bool(protected) == (name == f"millrace-{stage}-platform")
