"""A burst of throttled calls, by each service's own refusal: botocore carries it, a machine carries it by its Retry."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.throttling import Throttles
from localcloud.kernel.transport import connect
from millrace.infra.machines import calls, jobs, states
from tests.localcloud.control import control
from tests.localcloud.waiting import until

CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "cloudwatch": ("describe_alarms", {}, "Throttling"),
    "dynamodb": ("list_tables", {}, "ProvisionedThroughputExceededException"),
    "events": ("list_rules", {}, "ThrottlingException"),
    "glue": ("get_databases", {}, "ThrottlingException"),
    "lambda": ("list_functions", {}, "TooManyRequestsException"),
    "s3": ("list_buckets", {}, "SlowDown"),
    "sagemaker": ("list_endpoints", {}, "ThrottlingException"),
    "sns": ("list_topics", {}, "Throttling"),
    "sqs": ("list_queues", {}, "RequestThrottled"),
    "stepfunctions": ("list_state_machines", {}, "ThrottlingException"),
}
"""A call of each service, and the code of its refusal."""
BURST = 2
"""Throttled calls in a row; botocore's modes try three times or more."""


@pytest.fixture(scope="module")
def keys(cloud: Cloud) -> Callable[..., dict[str, str]]:
    def make(service: str) -> dict[str, str]:
        return cloud.role_environment(role(cloud, service), "throttled")

    return make


def role(cloud: Cloud, service: str) -> str:
    """The ARN of a role that this service may take, and that may do everything."""
    trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document, iam = json.dumps({"Version": "2012-10-17", "Statement": [trust]}), cloud.client("iam")
    found = [one["Arn"] for one in iam.list_roles()["Roles"] if one["RoleName"] == service]
    arn = found[0] if found else iam.create_role(RoleName=service, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=service, PolicyName="p", PolicyDocument=json.dumps(everything))
    return str(arn)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that botocore waited between its attempts; it does not, here."""
    found: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=found.append))
    return found


@pytest.fixture
def burst(cloud: Cloud) -> Iterator[Callable[[str], Throttles]]:
    throttles = cloud.part(Throttles)

    def begin(calls: str, many: int = BURST) -> Throttles:
        throttles.throttle({calls: many})
        return throttles

    yield begin
    throttles.throttle({})


@pytest.fixture(scope="module")
def as_role(cloud: Cloud, keys: Any) -> Callable[..., Any]:
    """A client with a role's keys."""
    found = keys("lambda")

    def make(service: str, **retries: Any) -> Any:
        client = boto3.client(
            service,
            endpoint_url=cloud.endpoint_url,
            region_name=cloud.region,
            aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=found["AWS_SESSION_TOKEN"],
            config=Config(retries=retries),
        )
        return connect(client, cloud.application)

    return make


@pytest.mark.parametrize("service", CALLS)
def test_each_service_throttles_in_its_own_words(as_role: Any, burst: Any, service: str) -> None:
    operation, given, code = CALLS[service]
    burst(f"{service}:*", 1)
    with pytest.raises(ClientError) as refused:
        getattr(as_role(service, total_max_attempts=1), operation)(**given)
    assert refused.value.response["Error"]["Code"] == code


@pytest.mark.parametrize("service", CALLS)
@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_botocore_carries_a_burst(as_role: Any, burst: Any, waits: list[float], service: str, mode: str) -> None:
    operation, given, _ = CALLS[service]
    throttles = burst(f"{service}:*")
    answer = getattr(as_role(service, mode=mode), operation)(**given)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (throttles.refused.total(), len(waits)) == (BURST, BURST)


def test_a_burst_that_is_too_long_is_an_error(as_role: Any, burst: Any, waits: list[float]) -> None:
    burst("sagemaker:*", 10)
    with pytest.raises(ClientError, match=r"reached max retries: 2"):
        as_role("sagemaker", mode="standard").list_endpoints()


def test_the_operator_and_other_calls_pass(as_role: Any, burst: Any, client: Any) -> None:
    throttles = burst("sagemaker:List*", 1)
    assert client("sagemaker").list_endpoints()["Endpoints"] == []
    assert as_role("sqs", total_max_attempts=1).list_queues()
    assert throttles.refused.total() == 0


def test_a_burst_is_begun_from_outside(cloud: Cloud, as_role: Any, waits: list[float]) -> None:
    assert control(cloud.endpoint_url, "throttles", {"sqs:List*": 1})["left"] == {"sqs:List*": 1}
    as_role("sqs", mode="standard").list_queues()
    answered = control(cloud.endpoint_url, "throttles")
    assert answered == {"left": {"sqs:List*": 0}, "refused": {"sqs:ListQueues": 1}}
    control(cloud.endpoint_url, "throttles", {})


@pytest.fixture(scope="module")
def run(cloud: Cloud) -> Callable[..., dict[str, Any]]:
    """What Describe says of an execution of a machine of one task, when it is closed."""
    client, arn = cloud.client("stepfunctions"), role(cloud, "states")

    def start(name: str, state: dict[str, Any]) -> dict[str, Any]:
        definition = json.dumps({"StartAt": "A", "States": {"A": {**state, "End": True}}})
        machine = client.create_state_machine(name=name, definition=definition, roleArn=arn)["stateMachineArn"]
        started = client.start_execution(stateMachineArn=machine)["executionArn"]
        until(lambda: client.describe_execution(executionArn=started)["status"] != "RUNNING")
        ended: dict[str, Any] = client.describe_execution(executionArn=started)
        return ended

    return start


@pytest.fixture(scope="module")
def tasks(cloud: Cloud, run: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    """By integration the call that is throttled, and a task with the Retry that our machines have."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return 1\n")
    cloud.client("lambda").create_function(
        FunctionName="one", Runtime="python3.13", Role=role(cloud, "lambda"), Handler="app.handler",
        Code={"ZipFile": buffer.getvalue()},
    )  # fmt: skip
    inner = run("inner", {"Type": "Pass"})["stateMachineArn"]
    entry = {"Source": "s", "DetailType": "d", "Detail": {"a": 1}, "EventBusName": "default"}
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-local-inference:local"
    model = {
        "ModelName": "one",
        "ExecutionRoleArn": role(cloud, "sagemaker"),
        "PrimaryContainer": {"Image": image, "ModelDataUrl": "s3://nowhere/model.tar.gz"},
    }
    every = ("States.TaskFailed",)
    return {
        "lambda:invoke": ("lambda:Invoke", task("lambda:invoke", {"FunctionName": "one"}, states.TRANSIENT)),
        "events:putEvents": ("events:PutEvents", task("events:putEvents", {"Entries": [entry]}, every)),
        "states:startExecution.sync:2": (
            "stepfunctions:StartExecution",
            task("states:startExecution.sync:2", {"StateMachineArn": inner}, calls.START_ERRORS),
        ),
        "sagemaker:createModel": (
            "sagemaker:CreateModel",
            task("sagemaker:createModel", model, (jobs.SERVICE_ERROR,)),
        ),
        "aws-sdk:sagemaker:listEndpoints": (
            "sagemaker:ListEndpoints",
            task("aws-sdk:sagemaker:listEndpoints", {}, every),
        ),
    }


def task(resource: str, parameters: dict[str, Any], errors: tuple[str, ...]) -> dict[str, Any]:
    retrier = states.retry(*errors, interval_s=1)
    return {"Type": "Task", "Resource": states.integration(resource), "Parameters": parameters, "Retry": [retrier]}


NAMES = {
    "lambda:invoke": "Lambda.TooManyRequestsException",
    "events:putEvents": "EventBridge.AmazonEventBridgeException",
    "states:startExecution.sync:2": "StepFunctions.AWSStepFunctionsException",
    "sagemaker:createModel": "SageMaker.AmazonSageMakerException",
    "aws-sdk:sagemaker:listEndpoints": "SageMaker.SageMakerException",
}
"""What a throttled task is called."""


@pytest.mark.parametrize("name", NAMES)
def test_a_machine_carries_a_burst_by_its_retry(run: Any, burst: Any, tasks: Any, name: str) -> None:
    call, state = tasks[name]
    throttles = burst(call, 1)
    ended = run(f"with-{call.replace(':', '-')}", state)
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert throttles.refused == {call: 1}


@pytest.mark.parametrize("name", NAMES)
def test_without_a_retry_a_throttled_task_fails_by_its_name(run: Any, burst: Any, tasks: Any, name: str) -> None:
    call, state = tasks[name]
    burst(call, 1)
    ended = run(f"without-{call.replace(':', '-')}", {key: state[key] for key in state if key != "Retry"})
    assert (ended["status"], ended["error"]) == ("FAILED", NAMES[name])
    assert "xceeded" in ended["cause"]
