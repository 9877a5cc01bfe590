"""What is tried with the local cloud's roles holds on AWS: every stage has the same roles with the same statements."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import boto3
import pytest
from moto import mock_aws

from localcloud.ledger.ledger import PREFIXES
from millrace.infra import job_logs
from millrace.names import JOB_LOGS, QUERY
from tests.credentials import set_credentials
from tests.end_to_end.test_permissions import ON_AWS, Reason
from tests.infra.conftest import role_statements, statements_of, texts
from tests.infra.machines.contexts import DEFINITIONS, all_states, context_of

Templates = dict[str, dict[str, dict[str, Any]]]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_no_role_reaches_a_job_of_another_stage(templates: Templates, stage: str) -> None:
    """A job's name is a digest, so a condition on its tag is what tells it from one of the same workload elsewhere."""
    asked = [
        part
        for _, part in role_statements(templates[stage])
        if "-job/*" in json.dumps(part["Resource"]) and part["Action"] != ["sagemaker:ListTags"]
    ]
    assert len(asked) > 10
    assert [part for part in asked if f'"millrace-{stage}-electricity"' not in json.dumps(part.get("Condition"))] == []


@pytest.mark.parametrize("stage", ["dev", "prod"])
@pytest.mark.parametrize("entry", ON_AWS, ids=str)
def test_what_only_aws_asks_for_is_allowed(templates: Templates, stage: str, entry: Reason) -> None:
    """No run of the local cloud would miss these rights."""
    asked = {
        action
        for role, part in role_statements(templates[stage])
        if part["Effect"] == "Allow" and any(fnmatchcase(place, entry.resource) for place in texts(part["Resource"]))
        for action in texts(part["Action"])
        for owner in [role.removeprefix(f"millrace-{stage}-").removeprefix("electricity-")]
        if any(fnmatchcase(owner, pattern) for pattern in entry.roles)
    }
    assert set(entry.actions) <= asked


ACTIONS = {"lambda:Invoke": "lambda:InvokeFunction", "s3:ListObjectsV2": "s3:ListBucket"}
"""Calls whose action has another name."""


def allowed(statements: list[dict[str, Any]], resource: str = "") -> set[str]:
    """The actions of the statements, or of those on resources whose ARN holds `resource`."""
    return {action for one in statements if resource in str(one["Resource"]) for action in one["Action"]}


def action_of(integration: str) -> str:
    """`arn:aws:states:::aws-sdk:s3:putObject` is `s3:PutObject`."""
    service, action = re.sub(r"^.*:::(aws-sdk:)?|\.sync(:2)?$|\.waitForTaskToken$", "", integration).split(":")[:2]
    call = f"{PREFIXES.get(service, service)}:{action[:1].upper()}{action[1:]}"
    return ACTIONS.get(call, call)


@pytest.mark.parametrize("machine", sorted(DEFINITIONS.keys() - {QUERY}))
def test_a_machine_may_make_the_calls_of_its_definition(machine: str, templates: Templates) -> None:
    tasks = [one for one in all_states(DEFINITIONS[machine](context_of())).values() if one["Type"] == "Task"]
    assert tasks
    needed = {action_of(task["Resource"]) for task in tasks}
    statements = statements_of(templates, "local")[f"{machine}-machine"]
    assert needed - allowed(statements) == set()
    arns = (task["Parameters"]["FunctionName"] for task in tasks if action_of(task["Resource"]).startswith("lambda:"))
    called = {arn.rpartition("-")[2] for arn in arns}
    granted = [str(one["Resource"]) for one in statements if "lambda:InvokeFunction" in one["Action"]]
    assert {name for name in called if not any(f"electricity-{name}" in one for one in granted)} == set()


def test_the_tests_see_what_is_there() -> None:
    """The negative controls."""
    assert action_of("arn:aws:states:::sagemaker:createTrainingJob.sync") == "sagemaker:CreateTrainingJob"
    assert action_of("arn:aws:states:::aws-sdk:applicationautoscaling:putScalingPolicy") == (
        "application-autoscaling:PutScalingPolicy"
    )
    statement = {"Action": ["dynamodb:PutItem"], "Resource": ["arn:aws:dynamodb:::table/millrace-prod-state"]}
    assert allowed([statement], "audit") == set()


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Any:
    set_credentials(monkeypatch)
    with mock_aws():
        yield boto3.client("logs", "eu-west-1")


def groups(logs: Any) -> dict[str, tuple[int | None, str | None]]:
    found = logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/")["logGroups"]
    return {one["logGroupName"]: (one.get("retentionInDays"), one.get("kmsKeyId")) for one in found}


@pytest.mark.parametrize("stages", [(30, 365), (365, 30)])
def test_they_have_the_longest_retention_of_all_stages_and_the_key_of_none(logs: Any, stages: tuple[int, int]) -> None:
    first = job_logs.settle(logs, retention_days=stages[0])
    assert first == [f"{group}: kept for {stages[0]} days" for group in JOB_LOGS]
    second = job_logs.settle(logs, retention_days=stages[1])
    assert bool(second) == (stages[1] > stages[0])
    assert groups(logs) == dict.fromkeys(JOB_LOGS, (365, None))


def test_a_group_of_sagemakers_own_gets_an_end_and_others_stay(logs: Any) -> None:
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs", kmsKeyId="theirs")
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs/other")
    job_logs.settle(logs, retention_days=30)
    assert groups(logs) == {
        **dict.fromkeys(JOB_LOGS, (30, None)),
        "/aws/sagemaker/TrainingJobs": (30, "theirs"),
        "/aws/sagemaker/TrainingJobs/other": (None, None),
    }
