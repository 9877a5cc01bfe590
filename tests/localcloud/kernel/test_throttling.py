"""A burst of throttled calls, by each service's own refusal: botocore carries it, a machine carries it by its Retry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.install import Throttles
from localcloud.kernel.transport import connect
from millrace.infra.machines import calls, jobs, states
from tests.localcloud.control import control
from tests.localcloud.resources import Resources, allow, keys_of

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


@pytest.fixture
def burst(cloud: Cloud) -> Iterator[Callable[[str], Throttles]]:
    throttles = cloud.part(Throttles)

    def begin(calls: str, many: int = BURST) -> Throttles:
        throttles.throttle({calls: many})
        return throttles

    yield begin
    throttles.throttle({})


@pytest.fixture(scope="module")
def as_role(cloud: Cloud, aws: Resources) -> Callable[..., Any]:
    """A client with a role's keys."""
    keys = keys_of(cloud.role_environment(aws.role("lambda", allow("*")), "throttled"))

    def make(service: str, **retries: Any) -> Any:
        where = {"endpoint_url": cloud.endpoint_url, "region_name": cloud.region}
        return connect(boto3.client(service, **where, **keys, config=Config(retries=retries)), cloud.application)

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
def tasks(aws: Resources) -> dict[str, tuple[str, dict[str, Any]]]:
    """By integration the call that is throttled, and a task with the Retry that our machines have."""
    function = aws.function("def handler(event, context):\n    return 1\n")
    inner = aws.machine({"A": {"Type": "Pass", "End": True}})
    entry = {"Source": "s", "DetailType": "d", "Detail": {"a": 1}, "EventBusName": "default"}
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-local-inference:local"
    model = {
        "ModelName": "one",
        "ExecutionRoleArn": aws.role("sagemaker", allow("*")),
        "PrimaryContainer": {"Image": image, "ModelDataUrl": "s3://nowhere/model.tar.gz"},
    }
    every = ("States.TaskFailed",)
    return {
        "lambda:invoke": ("lambda:Invoke", task("lambda:invoke", {"FunctionName": function}, states.TRANSIENT)),
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
def test_a_machine_carries_a_burst_by_its_retry_and_without_fails_by_its_name(
    aws: Resources, burst: Any, tasks: Any, name: str
) -> None:
    call, state = tasks[name]
    for given, status in ((state, "SUCCEEDED"), ({key: state[key] for key in state if key != "Retry"}, "FAILED")):
        throttles = burst(call, 1)
        ended = aws.run({"A": {**given, "End": True}})
        assert (ended["status"], throttles.refused) == (status, {call: 1}), ended.get("cause")
    assert ended["error"] == NAMES[name]
    assert "xceeded" in ended["cause"]
