"""A role is deployed without one statement: its step fails with AccessDenied, and goes well when it has it back.

One role of each kind: a function's, a machine's, a model's, a rule's, a schedule's. `test_permissions.py` does the same
for every statement of every role by deciding anew what was allowed. The last tests here are of what is refused for
another reason, and of what that asks of the roles."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from millrace.artefact.artefact import read_members
from millrace.aws.objects import split_uri
from millrace.console.queries.executions import failure_of
from tests.end_to_end.conftest import Lived, control


@contextmanager
def without(lived: Lived, owner: str, action: str) -> Iterator[str]:
    """In the block the role lacks the action; the value is the role's name."""
    iam, role = lived.cloud.client("iam"), lived.names.role(owner)
    policy = lived.policies[role]
    others = [{**one, "Action": [name for name in one["Action"] if name != action]} for one in policy["Statement"]]
    assert others != policy["Statement"]
    less = {**policy, "Statement": [one for one in others if one["Action"]]}
    if less["Statement"]:
        iam.put_role_policy(RoleName=role, PolicyName="statements", PolicyDocument=json.dumps(less))
    else:
        iam.delete_role_policy(RoleName=role, PolicyName="statements")
    try:
        yield role
    finally:
        iam.put_role_policy(RoleName=role, PolicyName="statements", PolicyDocument=json.dumps(policy))


def scored(lived: Lived, given: dict[str, Any]) -> dict[str, Any]:
    """What came of an execution of the machine `score` that a person starts with this input."""
    states = lived.cloud.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=lived.names.machine_arn("score"), input=json.dumps(given))
    lived.rest()
    return dict(states.describe_execution(executionArn=arn["executionArn"]))


def week(lived: Lived) -> dict[str, Any]:
    """The input that names the drop of the fourteen months, which has good rows; the newest may be no table."""
    return {"detail": {"objects": [{"key": f"{lived.names.workload}/scoring/week.csv"}]}}


def failures(lived: Lived, arn: str) -> str:
    """The causes in the execution's history, as the console shows them."""
    events = lived.cloud.client("stepfunctions").get_execution_history(executionArn=arn)["events"]
    details = [event.get("taskFailedEventDetails") or event.get("executionFailedEventDetails") for event in events]
    return "\n".join(str(one["cause"]) for one in details if one)


def test_scoring_again_goes_well(lived: Lived) -> None:
    """The control: with every statement there, what the next tests start succeeds; so does the newest drop, unnamed."""
    assert scored(lived, week(lived))["status"] == "SUCCEEDED"
    assert scored(lived, {})["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("owner", "action"),
    [("delivery", "s3:PutObject"), ("scoring-machines", "lambda:InvokeFunction"), ("model", "s3:PutObject")],
    ids=["function", "machine", "model"],
)
def test_a_step_fails_without_its_statement(lived: Lived, owner: str, action: str) -> None:
    before = len(control(lived.cloud, "denials"))
    with without(lived, owner, action) as role:
        run = scored(lived, week(lived))
    assert run["status"] == "FAILED"
    assert "AccessDenied" in failures(lived, run["executionArn"])
    assert {(one["role"], one["action"]) for one in control(lived.cloud, "denials")[before:]} == {(role, action)}
    lived.cloud.client("stepfunctions").redrive_execution(executionArn=run["executionArn"])
    lived.rest()
    again = lived.cloud.client("stepfunctions").describe_execution(executionArn=run["executionArn"])
    assert (again["status"], again["redriveCount"]) == ("SUCCEEDED", 1)


def dead_letters(lived: Lived, queue: str) -> list[dict[str, Any]]:
    """What lies in a dead-letter queue, taken out of it."""
    sqs = lived.cloud.client("sqs")
    owner = lived.names.platform if queue == "events" else lived.names
    url = sqs.get_queue_url(QueueName=owner.queue(f"{queue}-dead"))["QueueUrl"]
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages", [])
    for message in found:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return list(found)


def why(message: dict[str, Any]) -> tuple[str, bool]:
    """The error's code, and whether the message names the action that was refused."""
    said = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    return said["ERROR_CODE"], "states:StartExecution" in said["ERROR_MESSAGE"]


def test_a_rule_starts_nothing_without_its_statement(lived: Lived) -> None:
    """The event is not lost: it lies in the rule's dead-letter queue with the reason."""
    events = lived.cloud.client("events")
    entry = {
        "EventBusName": lived.names.platform.bus,
        "Source": "millrace",
        "DetailType": "retrain.requested",
        "Detail": json.dumps({"workload": lived.names.workload, "reason": "test"}),
    }
    dead_letters(lived, "events")
    with without(lived, "training-machines", "states:StartExecution"):
        event_id = events.put_events(Entries=[entry])["Entries"][0]["EventId"]
        lived.rest()
    (message,) = dead_letters(lived, "events")
    assert json.loads(message["Body"])["id"] == event_id
    assert why(message) == ("NO_PERMISSIONS", True)


def test_a_schedule_starts_nothing_without_its_statement(lived: Lived) -> None:
    runs = runs_of_monitor(lived)
    dead_letters(lived, "events")
    with without(lived, "monitoring-machines", "states:StartExecution"):
        lived.cloud.move_clock(lived.cloud.now() + timedelta(days=16))
        lived.rest()
    refused = dead_letters(lived, "events")
    assert refused
    assert {why(message) for message in refused} == {("NO_PERMISSIONS", True)}
    assert runs_of_monitor(lived) == runs


def runs_of_monitor(lived: Lived) -> int:
    arn = lived.names.machine_arn("monitor")
    return len(lived.cloud.client("stepfunctions").list_executions(stateMachineArn=arn, maxResults=1000)["executions"])


def test_no_drop_lands_among_the_dead_letters(lived: Lived) -> None:
    sqs = lived.cloud.client("sqs")
    dead_letters(lived, "drops")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=lived.names.queue("drops"))["QueueUrl"], MessageBody="{}")
    lived.rest()
    (message,) = dead_letters(lived, "drops")
    assert message["Body"] == "{}"
    assert "reason" in message["MessageAttributes"]


def test_events_that_fail_thrice_land_among_the_dead_letters(lived: Lived) -> None:
    """Of each function that is called asynchronously."""
    dead_letters(lived, "events")
    for function in ("cleanup", "tracking"):
        payload = json.dumps({"test": function})
        lived.cloud.client("lambda").invoke(
            FunctionName=lived.names.function(function), InvocationType="Event", Payload=payload
        )
    lived.rest()
    found = [json.loads(message["Body"])["test"] for message in dead_letters(lived, "events")]
    assert sorted(found) == ["cleanup", "tracking"]


@pytest.mark.parametrize("feed", ["training", "labels"])
def test_a_file_that_is_none_is_kept_for_each_feed(lived: Lived, feed: str) -> None:
    uri = lived.put(feed, f"none-{feed}.parquet", b"\x89PNG\r\n\x1a\n")
    lived.rest()
    events = [event["detail"] for event in lived.witness.told("drop.rejected")]
    assert [event["reason"] for event in events if event["source"] == uri] == ["foreign"]


@pytest.mark.parametrize("feed", ["training", "scoring"])
def test_a_drop_whose_event_comes_twice_is_known(lived: Lived, feed: str) -> None:
    """Whichever machine it started: intake asks what has become of its execution."""
    uri = lived.put(feed, f"twice-{feed}.parquet", b"\x89PNG")
    lived.rest()
    lived.witness.look()
    version = uri.rpartition("=")[2]
    (body,) = [body for body in lived.witness.bodies if version in body and "Object Created" in body]
    sqs = lived.cloud.client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=lived.names.queue("drops"))["QueueUrl"], MessageBody=body)
    lived.rest()
    log = lived.build / "local" / "logs" / "functions" / f"{lived.names.function('intake')}.log"
    said = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    told = [(line["execution"], line["message"]) for line in said if "execution" in line]
    assert [message for execution, message in told if execution == told[-1][0]] == ["started", "known"]


def test_a_version_that_cannot_start_is_refused_before_anything_is_made(lived: Lived, tmp_path: Path) -> None:
    """Version 1 once more, with a member less in its archive and without the record that it has passed."""
    run, url = first_version(lived)
    record_uri = lived.names.run_uri(run, "preflight", "ml.m5.large.json")
    record, archive = lived.read(record_uri), lived.read(url)
    passed = json.loads(record)
    assert (passed["model_version"], passed["rows"]) == ("1", 20)
    before = len(control(lived.cloud, "denials"))
    put(lived, url, without_weights(archive, tmp_path))
    delete(lived, record_uri)
    try:
        ended = rolled_back(lived)
    finally:
        put(lived, url, archive)
    assert ended["status"] == "FAILED"
    said = failure_of(ended["error"], ended["cause"])
    expected = "expected a server, got one that ended with exit code 1 after"
    assert said.startswith(
        f"States.TaskFailed: AlgorithmError: PreflightError: python -m millrace.jobs.serving serve: {expected}"
    )
    assert "missing weights.safetensors" in said
    assert "\n" not in said
    assert not {"Model", "Create challenger"} & entered(lived, ended["executionArn"])
    put(lived, record_uri, record)
    assert control(lived.cloud, "denials")[before:] == []


def first_version(lived: Lived) -> tuple[str, str]:
    """The run and the archive's URI of version 1."""
    package = lived.cloud.client("sagemaker").describe_model_package(ModelPackageName=lived.names.package_arn("1"))
    container = package["InferenceSpecification"]["Containers"][0]
    return package["CustomerMetadataProperties"]["run"], container["ModelDataUrl"]


def without_weights(archive: bytes, folder: Path) -> bytes:
    given = folder / "given.tar.gz"
    given.write_bytes(archive)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as less:
        for name, content in read_members(given).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            if name != "weights.safetensors":
                less.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def put(lived: Lived, uri: str, body: bytes) -> None:
    bucket, key = split_uri(uri)
    lived.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def delete(lived: Lived, uri: str) -> None:
    bucket, key = split_uri(uri)
    lived.cloud.client("s3").delete_object(Bucket=bucket, Key=key)


def rolled_back(lived: Lived) -> dict[str, Any]:
    states = lived.cloud.client("stepfunctions")
    arn = states.start_execution(
        stateMachineArn=lived.names.machine_arn("release"),
        input=json.dumps({"rollback": {"reason": "to see it start", "to": "1"}}),
    )["executionArn"]
    lived.rest()
    return dict(states.describe_execution(executionArn=arn))


def entered(lived: Lived, arn: str) -> set[str]:
    """The states that the execution entered."""
    events = lived.cloud.client("stepfunctions").get_execution_history(executionArn=arn, maxResults=1000)["events"]
    return {event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event}
