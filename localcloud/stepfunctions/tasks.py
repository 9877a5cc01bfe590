"""The calls of Task states: the service integrations of Step Functions, made under the machine's role.

moto's interpreter differs from AWS in these points, which are mended here:

- It calls with the keys `ak` and `sk`, so that no policy of a machine is checked.
- It has no integration of SageMaker, of EMR Serverless and of Athena (`optimized_tasks.py`).
- In error names it writes a service of `aws-sdk` as its lower-case endpoint.
- It starts nested executions with parameters that botocore refuses.
- It leaves datetime objects in results, which no later state can read.
- It sends JSON as a form where the API takes bytes, such as the body of an object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.utils import get_service_model
from moto.stepfunctions.parser.asl.component.state.exec.state_task import state_task_factory
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_aws_sdk,
    state_task_service_events,
    state_task_service_sfn,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService

from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.patching import replace, replace_entries
from localcloud.sagemaker.api import in_milliseconds
from localcloud.stepfunctions.optimized_tasks import athena_task, sagemaker_task, spark_task
from localcloud.stepfunctions.outcomes import as_text, pascal, refused_as, result_of, waited

SDK_NAMES = {
    "applicationautoscaling": "application-autoscaling",
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
}
"""Services whose name in `aws-sdk:` integrations, a package of the Java SDK, differs from all their other names."""
# Botocore's names of the services where they are others.
_BOTOCORE = SDK_NAMES | {"sagemakerruntime": "sagemaker-runtime", "sfn": "stepfunctions", "states": "stepfunctions"}
# The names of services in the Java SDK's exceptions. Step Functions uses them in error names: `DynamoDb.…Exception`.
_ONE_WORD = ("athena", "glue", "iam", "kms", "lambda", "s3", "scheduler", "sfn", "sns", "sqs", "ssm", "sts")
_IN_ERRORS = {
    **{name: name.capitalize() for name in _ONE_WORD},
    "applicationautoscaling": "ApplicationAutoScaling",
    "cloudwatch": "CloudWatch",
    "cloudwatchlogs": "CloudWatchLogs",
    "dynamodb": "DynamoDb",
    "eventbridge": "EventBridge",
    "sagemaker": "SageMaker",
    "sagemakerruntime": "SageMakerRuntime",
    "secretsmanager": "SecretsManager",  # pragma: allowlist secret
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
    for module in [one for name, one in sys.modules.copy().items() if name.startswith("moto.stepfunctions.parser.")]:
        if "boto_client_for" in vars(module):
            replace(module, boto_client_for=client_for)
    _use_aws_names()
    _name_refusals()
    _start_nested(cloud, client_for)
    tasks = {"sagemaker": sagemaker_task(cloud, client_for), "emr-serverless": spark_task(cloud, client_for)}
    _serve({**tasks, "athena": athena_task(client_for)})


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
        replace(task, _from_error=refused_as(task, service, prefix, base))


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
    from localcloud.stepfunctions.executions import find

    task = state_task_service_sfn.StateTaskServiceSfn

    def evaluate(
        self: Any, env: Any, resource_runtime_part: Any, normalised_parameters: Any, state_credentials: Any
    ) -> None:
        client = client_for(resource_runtime_part.region, "stepfunctions", state_credentials)
        parameters = _to_members("stepfunctions", self.resource.api_action, normalised_parameters)
        answer = client.start_execution(**parameters)
        answer.pop("ResponseMetadata", None)
        env.stack.append(pascal(in_milliseconds(answer)))

    def resolver(parse: bool) -> Callable[..., Any]:
        def build(
            self: Any, env: Any, state_credentials: Any, resource_runtime_part: Any, **_: Any
        ) -> Callable[[], Any]:
            client = client_for(resource_runtime_part.region, "stepfunctions", state_credentials)
            arn = env.stack.pop()["ExecutionArn"]

            def resolve() -> Any:
                # False if the parent was stopped. Then it tries to stop the execution that it started, as is documented
                # for `.sync`.
                if not waited(env, find(cloud, arn).ended):
                    client.stop_execution(executionArn=arn)
                    return {}
                described = client.describe_execution(executionArn=arn)
                result = pascal(described)
                if parse:
                    result |= {key: json.loads(result[key]) for key in ("Input", "Output") if key in result}
                return result_of(self, env, result, described["status"] == "SUCCEEDED")

            return resolve

        return build

    replace(
        task,
        _eval_service_task=evaluate,
        _build_sync_resolver=resolver(parse=False),
        _build_sync2_resolver=resolver(parse=True),
    )
