"""A declared consumer has a queue, a function and rights at its target alone; without one there is nothing new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from millrace.infra.constructs.notifications import NOTIFYING
from millrace.infra.stacks.serving import TRIES
from millrace.names import Platform, WorkloadNames
from tests.consumers import DECLARED, KEY

NAMES = WorkloadNames(
    platform=Platform(stage="dev", account="123456789012", region="eu-west-1"), workload="electricity"
)
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret"  # pragma: allowlist secret
TARGETS = {
    "queue": {
        ("sqs:SendMessage", "arn:aws:sqs:eu-west-1:123456789012:order-decisions"),
        ("kms:Decrypt", KEY),
        ("kms:GenerateDataKey", KEY),
    },
    "event": {("events:PutEvents", "arn:aws:events:eu-west-1:123456789012:event-bus/orders")},
    "mail": {("sns:Publish", "arn:aws:sns:eu-west-1:123456789012:loans")},
    "table": {("dynamodb:PutItem", "arn:aws:dynamodb:eu-west-1:123456789012:table/decision-lookup")},
    "postgres": {("secretsmanager:GetSecretValue", f"{SECRET}:ledger/writer-??????")},
    "webhook": {("secretsmanager:GetSecretValue", f"{SECRET}:crm/signing-??????")},
}
"""By kind, what its function may do beside what every function of a queue may."""
COMMON = {
    "kms:Decrypt", "kms:GenerateDataKey", "s3:GetObject", "logs:CreateLogStream", "logs:PutLogEvents",
    "xray:PutTelemetryRecords", "xray:PutTraceSegments",
    "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility",
}  # fmt: skip


@pytest.fixture(scope="module")
def resources(other_workloads: Path) -> dict[str, list[dict[str, Any]]]:
    """The properties of the resources of the rooms serving and monitoring, by type."""
    found: dict[str, list[dict[str, Any]]] = {}
    for room in ("serving", "monitoring"):
        template = json.loads((other_workloads / f"{NAMES.stack(room)}.template.json").read_text())
        for resource in template["Resources"].values():
            found.setdefault(resource["Type"], []).append(resource["Properties"])
    return found


def named(resources: list[dict[str, Any]], key: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in resources if one.get(key) == name]
    return found


def permissions(resources: dict[str, list[dict[str, Any]]], owner: str) -> set[tuple[str, str]]:
    role = named(resources["AWS::IAM::Role"], "RoleName", NAMES.role(owner))
    statements = role["Policies"][0]["PolicyDocument"]["Statement"]
    return {(action, str(arn)) for one in statements for action in one["Action"] for arn in one["Resource"]}


@pytest.mark.parametrize("kind", DECLARED)
def test_a_consumer_reaches_its_own_queue_and_its_target(resources: dict[str, list[dict[str, Any]]], kind: str) -> None:
    found = permissions(resources, f"consumer-{kind}")
    assert {one for one in found if one[0] not in COMMON or one in TARGETS[kind]} == TARGETS[kind]
    queues = {arn for action, arn in found if action.startswith("sqs:") and action != "sqs:SendMessage"}
    assert queues == {NAMES.queue_arn(f"consumer-{kind}")}


@pytest.mark.parametrize("kind", DECLARED)
def test_it_is_tried_for_hours_and_then_a_dead_letter(resources: dict[str, list[dict[str, Any]]], kind: str) -> None:
    name = NAMES.queue(f"consumer-{kind}")
    queue = named(resources["AWS::SQS::Queue"], "QueueName", name)
    dead = NAMES.queue_arn(f"consumer-{kind}-dead")
    assert queue["RedrivePolicy"] == {"deadLetterTargetArn": dead, "maxReceiveCount": TRIES}
    function = named(resources["AWS::Lambda::Function"], "FunctionName", name)
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    mappings = resources["AWS::Lambda::EventSourceMapping"]
    mapping = named(mappings, "FunctionName", NAMES.function_arn(f"consumer-{kind}"))
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_their_alarms_read_all_of_their_queues(resources: dict[str, list[dict[str, Any]]]) -> None:
    for name, suffix in (("dead-consumers", "-dead"), ("late-consumers", "")):
        alarm = named(resources["AWS::CloudWatch::Alarm"], "AlarmName", NAMES.alarm(name))
        read = {
            dimension["Value"]
            for query in alarm["Metrics"]
            if "MetricStat" in query
            for dimension in query["MetricStat"]["Metric"]["Dimensions"]
        }
        assert read == {NAMES.queue(f"consumer-{kind}{suffix}") for kind in DECLARED}
        assert name in NOTIFYING


def test_a_workload_without_consumers_has_nothing_of_it(templates: dict[str, Any]) -> None:
    for stage in ("local", "dev", "prod"):
        assert "-consumer-" not in json.dumps(templates[stage])
