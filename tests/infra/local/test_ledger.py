from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.local import parity
from infra.local.cloudformation import KINDS
from infra.local.ledger import LedgerGapError, Thing, as_markdown, ledger, row_of, things
from infra.local.needs import SERVICES
from infra.local.parity import Status

EVERY_TYPE = json.loads((Path(__file__).parent / "templates" / "every_type.json").read_text())


@pytest.fixture
def assembly(tmp_path):
    def write(resources):
        (tmp_path / "One.template.json").write_text(json.dumps({"Resources": resources}))
        return tmp_path

    return write


def machine(states):
    definition = {"StartAt": "A", "States": states}
    joined = {"Fn::Join": ["", [json.dumps(definition).replace('"PARTITION', '"arn:'), ""]]}
    return {"M": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"DefinitionString": joined}}}


def names(template, group):
    return {thing.name for thing in things(template) if thing.group == group}


def test_every_type_that_can_be_deployed_has_a_row_and_no_other():
    assert set(parity.RESOURCE_TYPES) == set(KINDS)


def test_every_row_is_of_one_of_three_kinds_and_says_something():
    tables = (
        parity.RESOURCE_TYPES,
        parity.STATE_TYPES,
        parity.INTRINSIC_FUNCTIONS,
        parity.TASKS,
        parity.SERVICES,
        parity.CALLS,
        parity.POLICY_FEATURES,
    )
    for table in tables:
        for name, (status, sentence) in table.items():
            assert status in set(Status), name
            assert sentence.endswith("."), name


def test_services_that_are_executed_have_their_resources_checked():
    prefixes = {"stepfunctions": "states", "sagemaker-runtime": "sagemaker"}
    checked = {prefixes.get(service, service) for service in SERVICES}
    executed = {name for name, (status, _) in parity.SERVICES.items() if status is Status.EXECUTED}
    assert executed <= checked


def test_a_whole_template_has_its_rows(assembly):
    entries = ledger(assembly(EVERY_TYPE["Resources"]))
    assert {entry.status for entry in entries} <= set(Status)
    by_name = {entry.thing.name: entry for entry in entries}
    assert by_name["AWS::SQS::Queue"].status is Status.EXECUTED
    assert by_name["AWS::EC2::VPC"].status is Status.SIMULATED
    assert by_name["aws:SecureTransport"].stacks == ("One",)
    page = as_markdown(entries)
    assert "| `AWS::SQS::Queue` | executed |" in page


def test_a_folder_without_templates_is_an_error(tmp_path):
    with pytest.raises(LedgerGapError, match="holds no template"):
        ledger(tmp_path)


def test_a_type_without_a_row_is_an_error(assembly):
    with pytest.raises(LedgerGapError, match="resource type AWS::ECS::Cluster"):
        ledger(assembly({"C": {"Type": "AWS::ECS::Cluster"}}))


def test_a_call_of_an_unknown_service_is_an_error(assembly):
    statement = {"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": "*"}
    policy = {"PolicyDocument": {"Statement": statement}}
    with pytest.raises(LedgerGapError, match="call bedrock:InvokeModel"):
        ledger(assembly({"P": {"Type": "AWS::IAM::Policy", "Properties": policy}}))


def test_a_task_without_a_row_is_an_error(assembly):
    states = {"A": {"Type": "Task", "Resource": "arn:aws:states:::ecs:runTask.sync", "End": True}}
    with pytest.raises(LedgerGapError, match=r"task ecs:runTask\.sync"):
        ledger(assembly(machine(states)))


def test_states_tasks_and_functions_of_a_machine_are_found():
    inner = {"StartAt": "B", "States": {"B": {"Type": "Pass", "Parameters": {"a.$": "States.UUID()"}, "End": True}}}
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
        "Parameters": {"TrainingJobName.$": "States.Format('{}-{}', $.a, States.Hash($.b, 'SHA-1'))"},
        "Retry": [{"ErrorEquals": ["States.ALL"]}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}],
    }
    states = {
        "A": {**task, "Next": "D"},
        "D": {"Type": "Map", "ItemProcessor": inner, "Next": "E"},
        "E": {"Type": "Parallel", "Branches": [inner], "Next": "F"},
        "F": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sagemaker:describeEndpoint", "Next": "C"},
        "C": {"Type": "Succeed"},
    }
    template = {"Resources": machine(states)}
    assert names(template, "state") == {"Task", "Map", "Parallel", "Pass", "Succeed", "Retry", "Catch"}
    assert names(template, "task") == {"sagemaker:createTrainingJob.sync", "aws-sdk:sagemaker:describeEndpoint"}
    assert names(template, "intrinsic function") == {"States.UUID", "States.Format", "States.Hash"}


def test_a_distributed_map_is_told_apart():
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, "StartAt": "B", "States": {"B": {"Type": "Succeed"}}}
    template = {"Resources": machine({"A": {"Type": "Map", "ItemProcessor": processor, "End": True}})}
    assert "Map (DISTRIBUTED)" in names(template, "state")
    assert row_of(Thing(group="state", name="Map (DISTRIBUTED)"))[0] is Status.NOT_COVERED


def test_policy_features_are_found():
    statement = {
        "Effect": "Deny",
        "NotAction": "s3:*",
        "NotResource": "*",
        "Condition": {"ForAnyValue:StringLikeIfExists": {"aws:PrincipalTag/team": "a"}},
    }
    passing = {"Effect": "Allow", "Action": ["iam:PassRole", "s3:GetObject"], "Resource": "*"}
    policy = {"PolicyDocument": {"Statement": [statement, passing]}}
    template = {"Resources": {"P": {"Type": "AWS::IAM::ManagedPolicy", "Properties": policy}}}
    features = {"identity policy", "Deny", "NotAction", "NotResource", "Action", "Resource", "iam:PassRole"}
    assert names(template, "policy feature") == features
    assert names(template, "call") == {"s3:GetObject"}
    assert row_of(Thing(group="condition key", name="aws:PrincipalTag/team"))[0] is Status.EXECUTED
    operator = "ForAnyValue:StringLikeIfExists"
    assert row_of(Thing(group="condition operator", name=operator))[0] is Status.EXECUTED


@pytest.mark.parametrize(
    "thing",
    [
        Thing(group="condition key", name="s3:ExistingObjectTag/x"),
        Thing(group="condition operator", name="SoundsLike"),
        Thing(group="policy feature", name="NotPrincipal"),
    ],
)
def test_what_is_not_decided_is_not_covered(thing):
    assert row_of(thing)[0] is Status.NOT_COVERED
