"""The calls of Task states: the service integrations of Step Functions, made under the machine's role.

moto's interpreter differs from AWS in these points, which are mended here:

- It calls with the keys `ak` and `sk`, so that no policy of a machine is checked.
- It has no integration of SageMaker (`sagemaker_tasks.py`) and of Athena (at the end of this module).
- In error names it writes a service of `aws-sdk` as its lower-case endpoint.
- It starts nested executions with parameters that botocore refuses.
- It leaves datetime objects in results, which no later state can read.
- It sends JSON as a form where the API takes bytes, such as the body of an object.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError
from moto.core.utils import get_service_model
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_task import state_task_factory
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_aws_sdk,
    state_task_service_events,
    state_task_service_sfn,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback,
)

from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.patching import replace, replace_entries
from localcloud.sagemaker.api import in_milliseconds
from localcloud.stepfunctions.outcomes import as_text, failure, pascal, waited
from localcloud.stepfunctions.sagemaker_tasks import sagemaker_task

# The optimized Athena integration of Step Functions: a task starts a query, and with `.sync` waits for it or stops it.
#
# moto's interpreter does not know this integration. It may go when moto does.

_POLL_S = 0.05
"""Seconds between two looks at the query."""
_RUNNING = ("QUEUED", "RUNNING")


def athena_task(client_for: Callable[..., Any], namer: Callable[..., Any]) -> type[StateTaskServiceCallback]:
    """The class of tasks of the optimized integration.

    `client_for(region, service, credentials)` gives a client under the machine's role, `namer` the names of errors."""

    class AthenaTask(StateTaskServiceCallback):
        _from_error = namer(StateTaskServiceCallback, "athena", "Athena", "AmazonAthenaException")

        def __init__(self) -> None:
            # As for SageMaker: moto's code for `.sync` needs the endpoint of tokens.
            patterns: Any = {ResourceCondition.WaitForTaskToken, ResourceCondition.Sync}
            super().__init__(supported_integration_patterns=patterns)

        def _get_supported_parameters(self) -> set[str] | None:
            name = self.resource.api_action[:1].upper() + self.resource.api_action[1:]
            return set(get_service_model("athena").operation_model(name).input_shape.members)

        def _eval_service_task(
            self, env: Any, resource_runtime_part: Any, normalised_parameters: Any, state_credentials: Any
        ) -> None:
            client = client_for(resource_runtime_part.region, "athena", state_credentials)
            answer = getattr(client, self._get_boto_service_action())(**normalised_parameters)
            answer.pop("ResponseMetadata", None)
            env.stack.append(in_milliseconds(answer))

        def _build_sync_resolver(
            self,
            env: Any,
            resource_runtime_part: Any,
            normalised_parameters: Any,  # noqa: ARG002 (moto names it)
            state_credentials: Any,
        ) -> Callable[[], Any]:
            client = client_for(resource_runtime_part.region, "athena", state_credentials)
            query = {"QueryExecutionId": env.stack.pop()["QueryExecutionId"]}

            def resolve() -> Any:
                described = client.get_query_execution(**query)
                while described["QueryExecution"]["Status"]["State"] in _RUNNING:
                    # If the task was stopped or has timed out, the query is stopped, as is documented for `.sync`.
                    if not env.is_running():
                        client.stop_query_execution(**query)
                        return {}
                    time.sleep(_POLL_S)
                    described = client.get_query_execution(**query)
                described.pop("ResponseMetadata", None)
                result = in_milliseconds(described)
                if described["QueryExecution"]["Status"]["State"] == "SUCCEEDED":
                    return result
                raise FailureEventException(failure(self, env, "States.TaskFailed", json.dumps(result)))

            return resolve

        def _eval_sync(self, *_: Any, **given: Any) -> Any:
            # moto would not ask at all if the task was stopped while it started the query, and the query would go on.
            return given["sync_resolver"]()

    return AthenaTask


# Names of `aws-sdk` integrations (packages of the Java SDK) that differ from botocore's name of the service.
_BOTOCORE = {
    "applicationautoscaling": "application-autoscaling",
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
    "sagemakerruntime": "sagemaker-runtime",
    "sfn": "stepfunctions",
    "states": "stepfunctions",
}
# The names of services in the Java SDK's exceptions. Step Functions uses them in error names: `DynamoDb.…Exception`.
_IN_ERRORS = {
    "applicationautoscaling": "ApplicationAutoScaling",
    "athena": "Athena",
    "cloudwatch": "CloudWatch",
    "cloudwatchlogs": "CloudWatchLogs",
    "dynamodb": "DynamoDb",
    "eventbridge": "EventBridge",
    "glue": "Glue",
    "iam": "Iam",
    "kms": "Kms",
    "lambda": "Lambda",
    "s3": "S3",
    "sagemaker": "SageMaker",
    "sagemakerruntime": "SageMakerRuntime",
    "scheduler": "Scheduler",
    "secretsmanager": "SecretsManager",  # pragma: allowlist secret
    "sfn": "Sfn",
    "sns": "Sns",
    "sqs": "Sqs",
    "ssm": "Ssm",
    "sts": "Sts",
}


# Optimized integrations whose refusals moto names wrongly: moto's class, botocore's name of the service, its name in
# error names, and the base exception of the SDK for Java.
_BASES = (
    (state_task_service_sfn.StateTaskServiceSfn, "stepfunctions", "StepFunctions", "AWSStepFunctionsException"),
    (state_task_service_events.StateTaskServiceEvents, "events", "EventBridge", "AmazonEventBridgeException"),
)


def call_as_role(cloud: Cloud) -> None:
    def client_for(region: str, service: str, state_credentials: Any) -> Any:  # noqa: ARG001 (moto names it)
        return as_role(cloud, state_credentials.role_arn, service, principal="states.amazonaws.com")

    # Each module has imported moto's function under its own name, so it is replaced in each of them.
    for module in [one for name, one in sys.modules.items() if name.startswith("moto.stepfunctions.parser.")]:
        if "boto_client_for" in vars(module):
            replace(module, boto_client_for=client_for)
    _use_aws_names()
    _name_refusals()
    _start_nested(cloud, client_for)
    _serve({"sagemaker": sagemaker_task(cloud, client_for), "athena": athena_task(client_for, _namer)})


def _serve(tasks: Mapping[str, type]) -> None:
    """Let moto's parser make tasks of these services, for which it has no class of its own."""
    factory: Any = state_task_factory
    original = factory.state_task_service_for

    def make(service_name: str) -> Any:
        return tasks[service_name]() if service_name in tasks else original(service_name)

    replace(state_task_factory, state_task_service_for=make)


def _use_aws_names() -> None:
    replace_entries(StateTaskService._SERVICE_NAME_SFN_TO_BOTO_OVERRIDES, **_BOTOCORE)
    replace_entries(state_task_service_aws_sdk._SERVICE_ERROR_NAMES, **_IN_ERRORS)
    sdk: Any = state_task_service_aws_sdk.StateTaskServiceAwsSdk
    evaluate = sdk._eval_service_task

    def evaluate_as_json(self: Any, env: Any, **given: Any) -> None:
        service = self._get_boto_service_name()
        given["normalised_parameters"] = _to_members(service, self.resource.api_action, given["normalised_parameters"])
        evaluate(self, env=env, **given)
        env.stack[-1] = pascal(as_text(env.stack[-1])) if service == "stepfunctions" else as_text(env.stack[-1])

    replace(sdk, _eval_service_task=evaluate_as_json)


def _name_refusals() -> None:
    """Name a refused call as AWS does.

    An error that the API's model does not name has the name of the service's base exception in the SDK for Java. So a
    throttled start is `StepFunctions.AWSStepFunctionsException`. moto makes up a name, or for PutEvents gives
    States.Runtime, which no retrier takes."""
    for task, service, prefix, base in _BASES:
        replace(task, _from_error=_namer(task, service, prefix, base))


def _namer(task: Any, service: str, prefix: str, base: str) -> Callable[..., Any]:
    named = task._from_error

    def from_error(self: Any, env: Any, ex: Exception) -> Any:
        if not isinstance(ex, ClientError):
            return named(self, env, ex)
        code, answer = ex.response["Error"]["Code"], ex.response["ResponseMetadata"]
        action = self.resource.api_action[:1].upper() + self.resource.api_action[1:]
        modelled = {shape.name for shape in get_service_model(service).operation_model(action).error_shapes}
        name = f"{code.removesuffix('Exception')}Exception" if code in modelled else base
        cause = (
            f"{ex.response['Error']['Message']} (Service: {base.removesuffix('Exception')}; "
            f"Status Code: {answer['HTTPStatusCode']}; Error Code: {code}; "
            f"Request ID: {answer.get('RequestId', '')}; Proxy: null)"
        )
        return failure(self, env, f"{prefix}.{name}", cause)

    return from_error


def _to_members(service: str, action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The top-level parameters, named as the API's members: `StateMachineArn` becomes `stateMachineArn`.

    JSON is sent as text where the API takes bytes."""
    name = action[:1].upper() + action[1:]
    shape = get_service_model(service).operation_model(name).input_shape
    members = shape.members if shape else {}
    known = {member.lower(): member for member in members}
    given = {known.get(key.lower(), key): value for key, value in parameters.items()}
    is_json = {key for key in given.keys() & members if members[key].type_name == "blob"}
    return {key: json.dumps(value) if key in is_json else value for key, value in given.items()}


def _start_nested(cloud: Cloud, client_for: Callable[..., Any]) -> None:
    """Serve `states:startExecution`: plain, with `.sync` (Output is a string) and with `.sync:2` (Output is JSON)."""
    from localcloud.stepfunctions.executions import ended

    task = state_task_service_sfn.StateTaskServiceSfn

    def evaluate(
        self: Any, env: Any, resource_runtime_part: Any, normalised_parameters: Any, state_credentials: Any
    ) -> None:
        client = client_for(
            region=resource_runtime_part.region, service="stepfunctions", state_credentials=state_credentials
        )
        parameters = _to_members("stepfunctions", self.resource.api_action, normalised_parameters)
        answer = client.start_execution(**parameters)
        answer.pop("ResponseMetadata", None)
        env.stack.append(pascal(in_milliseconds(answer)))

    def resolver(parse: bool) -> Callable[..., Any]:
        def build(
            self: Any, env: Any, state_credentials: Any, resource_runtime_part: Any, **_: Any
        ) -> Callable[[], Any]:
            client = client_for(
                region=resource_runtime_part.region, service="stepfunctions", state_credentials=state_credentials
            )
            arn = env.stack.pop()["ExecutionArn"]

            def resolve() -> Any:
                # False if the parent was stopped. Then it tries to stop the execution that it started, as is documented
                # for `.sync`.
                if not waited(env, ended(cloud, arn)):
                    client.stop_execution(executionArn=arn)
                    return {}
                described = client.describe_execution(executionArn=arn)
                described.pop("ResponseMetadata", None)
                result = pascal(in_milliseconds(described))
                if parse:
                    result |= {key: json.loads(result[key]) for key in ("Input", "Output") if key in result}
                if described["status"] == "SUCCEEDED":
                    return result
                raise FailureEventException(failure(self, env, "States.TaskFailed", json.dumps(result)))

            return resolve

        return build

    replace(
        task,
        _eval_service_task=evaluate,
        _build_sync_resolver=resolver(parse=False),
        _build_sync2_resolver=resolver(parse=True),
    )
