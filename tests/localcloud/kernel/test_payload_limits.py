"""What AWS refuses for its size is refused with AWS's words; one byte less passes. Each quota of the table is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.awslambda import payload_limits
from localcloud.events import install as put_events
from localcloud.kernel import api_models, quotas
from localcloud.sns import install as notifications
from localcloud.sqs import queues as messages
from localcloud.stepfunctions import machines as payloads
from tests.localcloud.resources import Resources

LOCAL = Path(quotas.__file__).resolve().parents[1]

ECHO = "def handler(event, context):\n    return 'x' * event['bytes'] if isinstance(event, dict) else len(event)\n"


@pytest.fixture(scope="module")
def function(aws: Resources) -> str:
    return aws.function(ECHO, Timeout=20)


@pytest.fixture(scope="module")
def machine(aws: Resources) -> Callable[..., dict[str, Any]]:
    def run(state: dict[str, Any], given: Any = None) -> dict[str, Any]:
        return aws.run({"A": state if "Next" in state else {"End": True, **state}, "Z": {"Type": "Succeed"}}, given)

    return run


def text_of(size: int) -> str:
    """JSON of so many bytes: a text in its quotes."""
    return "x" * (size - 2)


@pytest.mark.parametrize(("kind", "limit"), payload_limits.EVENT_BYTES.items())
def test_an_event_for_a_function(client: Any, function: str, kind: str, limit: int) -> None:
    def invoke(size: int) -> Any:
        return client("lambda").invoke(
            FunctionName=function, InvocationType=kind, Payload=json.dumps(text_of(size)).encode()
        )

    assert invoke(limit)["StatusCode"] in (200, 202)
    with pytest.raises(ClientError, match=f"Request must be smaller than {limit} bytes") as refused:
        invoke(limit + 1)
    assert refused.value.response["Error"]["Code"] == "RequestEntityTooLargeException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_an_answer_of_a_function(client: Any, function: str) -> None:
    def answer(size: int) -> Any:
        return client("lambda").invoke(FunctionName=function, Payload=json.dumps({"bytes": size - 2}).encode())

    assert "FunctionError" not in answer(payload_limits.ANSWER_BYTES)
    refused = answer(payload_limits.ANSWER_BYTES + 1)
    assert refused["FunctionError"] == "Unhandled"
    assert json.load(refused["Payload"])["errorType"] == "Function.ResponseSizeTooLarge"


@pytest.mark.parametrize(("over", "status"), [(0, "SUCCEEDED"), (1, "FAILED")])
@pytest.mark.parametrize("place", ["result", "output", "parameters"])
def test_a_state(machine: Any, place: str, over: int, status: str) -> None:
    limit = payloads.LIMIT_BYTES + over
    if place == "output":
        spare = len('{"a":,"b":}')
        half, rest = "x" * 100_000, text_of(limit - spare - 100_002)
        ended = machine({"Type": "Pass", "Result": rest, "ResultPath": "$.b"}, {"a": half})
    elif place == "result":
        ended = machine({"Type": "Pass", "Result": text_of(limit)})
    else:
        spare = len('{"QueueUrl":"nowhere","MessageBody":}')
        body = text_of(limit - spare)
        parameters = {"QueueUrl": "nowhere", "MessageBody": body}
        ended = machine({"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": parameters})
        status = "FAILED"
    too_large = ended.get("error") == "States.DataLimitExceeded"
    assert (ended["status"], too_large) == (status, bool(over)), ended.get("cause")
    assert not too_large or "exceeding the maximum number of bytes service limit" in ended["cause"]


def test_a_result_that_is_too_large_is_caught_by_its_name_alone(machine: Any, function: str) -> None:
    call = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload": {"bytes": payloads.LIMIT_BYTES}},
        "ResultSelector": {"answer.$": "$.StatusCode"},
    }

    def ended(*errors: str) -> str:
        caught = {"ErrorEquals": list(errors), "Next": "Z"}
        return str(machine({**call, "Catch": [caught]})["status"])

    assert ended("States.ALL") == "FAILED"
    assert ended("States.DataLimitExceeded") == "SUCCEEDED"


def test_an_execution_s_input(client: Any, machine: Any) -> None:
    machine({"Type": "Pass"})
    states = client("stepfunctions")
    arn = states.list_state_machines()["stateMachines"][0]["stateMachineArn"]
    given = json.dumps(text_of(payloads.LIMIT_BYTES))
    assert states.start_execution(stateMachineArn=arn, input=given)["executionArn"]


@pytest.mark.parametrize("parts", [1, 2])
def test_entries_of_events(client: Any, parts: int) -> None:
    """All entries of a call count together."""

    def put(size: int) -> Any:
        bare: dict[str, Any] = {"Source": "s", "DetailType": "d", "Resources": ["é"], "Time": 0, "Detail": '{"a": ""}'}
        spare = size - parts * put_events.size_of(bare)
        texts = ["x" * (spare // parts + (number < spare % parts)) for number in range(parts)]
        return client("events").put_events(Entries=[{**bare, "Detail": json.dumps({"a": text})} for text in texts])

    assert put(put_events.LIMIT_BYTES)["FailedEntryCount"] == 0
    with pytest.raises(ClientError, match="Total size of the entries in the request is over the limit"):
        put(put_events.LIMIT_BYTES + 1)


def test_an_entry_is_measured_as_eventbridge_does() -> None:
    entry = {"Source": "ab", "DetailType": "c", "Detail": "{}", "Resources": ["é", "f"]}
    assert (put_events.size_of(entry), put_events.size_of({**entry, "Time": 5})) == (8, 22)


ATTRIBUTE = {"DataType": "String", "StringValue": "é"}
ATTRIBUTE_BYTES = len("name") + len("String") + 2


def test_a_message_of_a_queue(client: Any, fresh: Any) -> None:
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=fresh("large"))["QueueUrl"]
    small = sqs.create_queue(QueueName=fresh("small"), Attributes={"MaximumMessageSize": "1024"})["QueueUrl"]
    for queue, limit in ((url, messages.LIMIT_BYTES), (small, 1024)):
        body, named = "x" * (limit - ATTRIBUTE_BYTES), {"MessageAttributes": {"name": ATTRIBUTE}}
        assert sqs.send_message(QueueUrl=queue, MessageBody=body, **named)["MessageId"]
        with pytest.raises(ClientError, match=f"Message must be shorter than {limit} bytes"):
            sqs.send_message(QueueUrl=queue, MessageBody=body + "x", **named)


def test_a_batch_for_a_queue(client: Any, fresh: Any) -> None:
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=fresh("batch"))["QueueUrl"]
    half = messages.LIMIT_BYTES // 2

    def send(*sizes: int) -> Any:
        entries = [{"Id": str(number), "MessageBody": "x" * size} for number, size in enumerate(sizes)]
        return sqs.send_message_batch(QueueUrl=url, Entries=entries)

    assert len(send(half, half)["Successful"]) == 2
    with pytest.raises(ClientError, match=f"You have sent {messages.LIMIT_BYTES + 1} bytes"):
        send(half, half + 1)


def test_a_notification(client: Any, fresh: Any) -> None:
    sns = client("sns")
    topic = sns.create_topic(Name=fresh("topic"))["TopicArn"]
    body = "x" * (notifications.LIMIT_BYTES - ATTRIBUTE_BYTES)
    attributes = {"name": ATTRIBUTE}
    assert sns.publish(TopicArn=topic, Message=body, MessageAttributes=attributes)["MessageId"]
    with pytest.raises(ClientError, match="Invalid parameter: Message too long") as refused:
        sns.publish(TopicArn=topic, Message=body + "x", MessageAttributes=attributes)
    assert refused.value.response["Error"]["Code"] == "InvalidParameter"


FUNCTION = {"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/lambda", "Code": {"ZipFile": b"x"}}
LAYER = "arn:aws:lambda:eu-west-1:123456789012:layer:l:1"
JOB = {
    "TrainingJobName": "j", "RoleArn": FUNCTION["Role"], "AlgorithmSpecification": {"TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://b/p"}, "ResourceConfig": {"VolumeSizeInGB": 1}, "StoppingCondition": {},
}  # fmt: skip
EVENT = {"Source": "s", "DetailType": "d", "Detail": "{}"}


@pytest.mark.parametrize(
    ("call", "given", "said"),
    [
        ("lambda.create_function", {**FUNCTION, "Timeout": 901}, "'timeout' .* value less than or equal to 900"),
        ("lambda.create_function", {**FUNCTION, "Layers": [LAYER] * 6}, "'layers' .* length less than or equal to 5"),
        ("events.put_events", {"Entries": [EVENT] * 11}, "'entries' .* length less than or equal to 10"),
        ("cloudwatch.put_metric_data", {"Namespace": "n", "MetricData": [{"MetricName": "m"}] * 1001}, "equal to 1000"),
        ("iam.create_role", {"RoleName": "r" * 65, "AssumeRolePolicyDocument": "{}"}, "'roleName' .* equal to 64"),
        (
            "sagemaker.create_training_job",
            {**JOB, "HyperParameters": {"h": "x" * 2501}},
            "'hyperParameters.h' .* length less than or equal to 2500",
        ),
    ],
)  # fmt: skip
def test_a_request_beyond_the_model_of_its_api_or_the_table(client: Any, call: str, given: Any, said: str) -> None:
    service, _, operation = call.partition(".")
    with pytest.raises(ClientError, match=said) as refused:
        getattr(client(service), operation)(**given)
    assert refused.value.response["Error"]["Code"] in ("ValidationException", "ValidationError")


def test_each_quota_of_the_table_is_read_where_it_is_kept(client: Any) -> None:
    """By a filler, or by the guard that finds its shape in the service's API model."""
    sources = " ".join(path.read_text() for path in LOCAL.rglob("*.py"))
    read = set(re.findall(r'[^_]quota\("([a-z ]+)", "([a-z ]+)"\)', sources))
    assert read == {key for key, row in quotas.rows().items() if "shape" not in row}
    for service, shape in api_models.QUOTAS:
        assert client(service).meta.service_model.shape_for(shape)


@pytest.mark.night("by day a rule keeps the loops of the templates below it")
def test_a_history_that_is_full_fails_its_execution(client: Any, machine: Any) -> None:
    ended = machine({"Type": "Pass", "Next": "A"})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")
    newest = {"executionArn": ended["executionArn"], "reverseOrder": True, "maxResults": 2}
    events = client("stepfunctions").get_execution_history(**newest)["events"]
    most = quotas.quota("states", "history")
    assert [(one["id"], one["type"]) for one in events] == [(most, "ExecutionFailed"), (most - 1, "PassStateExited")]
