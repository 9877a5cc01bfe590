"""The optimized SageMaker integration of Step Functions: a task creates, and with `.sync` waits, describes and stops.

moto's interpreter does not know this integration. It may go when moto does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError
from moto.core.utils import get_service_model
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback,
)

from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker.api import in_milliseconds
from localcloud.sagemaker.jobs.jobs import jobs
from localcloud.stepfunctions.outcomes import failure, waited

_OPTIMIZED = {
    "CreateEndpoint",
    "CreateEndpointConfig",
    "CreateModel",
    "CreateProcessingJob",
    "CreateTrainingJob",
    "CreateTransformJob",
    "UpdateEndpoint",
}
"""The operations of the optimized integration that are covered. Labelling and tuning jobs are not."""

# The errors that SageMaker's model names.
_MODELED = {"ConflictException", "ResourceInUse", "ResourceLimitExceeded", "ResourceNotFound"}


def sagemaker_task(cloud: Cloud, client_for: Callable[..., Any]) -> type[StateTaskServiceCallback]:
    """The class of tasks of the optimized integration.

    `client_for(region, service, credentials)` gives a client under the machine's role."""

    class SageMakerTask(StateTaskServiceCallback):
        def __init__(self) -> None:
            # moto's code for `.sync` ends with `callback_endpoint.interrupt_all()`, and makes that endpoint only for
            # classes that support tokens too.
            patterns: Any = {ResourceCondition.WaitForTaskToken, ResourceCondition.Sync}
            super().__init__(supported_integration_patterns=patterns)

        def _get_supported_parameters(self) -> set[str] | None:
            name = self.resource.api_action[:1].upper() + self.resource.api_action[1:]
            if name not in _OPTIMIZED:
                return None
            return set(get_service_model("sagemaker").operation_model(name).input_shape.members)

        def _eval_parameters(self, env: Any) -> Any:
            # moto drops a parameter that the API does not know, where AWS refuses the whole definition. Here the task
            # fails by States.Runtime, which nothing can catch.
            assert self.parargs is not None
            self.parargs.eval(env=env)
            parameters = env.stack.pop()
            unknown = sorted(set(parameters) - (self._get_supported_parameters() or set()))
            if unknown:
                cause = f"The field '{unknown[0]}' is not supported by Step Functions"
                raise FailureEventException(failure(self, env, "States.Runtime", cause))
            return parameters

        def _from_error(self, env: Any, ex: Exception) -> Any:
            if isinstance(ex, ClientError):
                return failure(self, env, *sagemaker_error(ex))
            return super()._from_error(env=env, ex=ex)

        def _eval_service_task(
            self, env: Any, resource_runtime_part: Any, normalised_parameters: Any, state_credentials: Any
        ) -> None:
            client = client_for(resource_runtime_part.region, "sagemaker", state_credentials)
            answer = getattr(client, self._get_boto_service_action())(**normalised_parameters)
            answer.pop("ResponseMetadata", None)
            env.stack.append(in_milliseconds(answer))

        def _build_sync_resolver(
            self, env: Any, resource_runtime_part: Any, normalised_parameters: Any, state_credentials: Any
        ) -> Callable[[], Any]:
            submitted = env.stack.pop()
            client = client_for(resource_runtime_part.region, "sagemaker", state_credentials)
            # The answer says which kind of job it is: `{"TrainingJobArn": …}` gives Training.
            kind = next(key for key in submitted if key.endswith("JobArn")).removesuffix("JobArn")
            named = {f"{kind}JobName": normalised_parameters[f"{kind}JobName"]}

            # It waits for the job's end itself.
            def resolve() -> Any:
                # False if the task was stopped or has timed out. Then Step Functions tries to stop the job, as is
                # documented for `.sync`.
                if not waited(env, jobs(cloud).ended[submitted[f"{kind}JobArn"]]):
                    getattr(client, f"stop_{kind.lower()}_job")(**named)
                    return {}
                described = getattr(client, f"describe_{kind.lower()}_job")(**named)
                described.pop("ResponseMetadata", None)
                result = in_milliseconds(described)
                # AWS's pages do not say how the task of a stopped job ends. Here it ends well, so that a machine that
                # does not look at the status is found.
                if described[f"{kind}JobStatus"] in ("Completed", "Stopped"):
                    return result
                raise FailureEventException(failure(self, env, "States.TaskFailed", json.dumps(result)))

            return resolve

        def _eval_sync(self, *_: Any, **given: Any) -> Any:
            # moto would not ask at all if the task was stopped while it created the job, and the job would go on.
            return given["sync_resolver"]()

    return SageMakerTask


def sagemaker_error(error: ClientError) -> tuple[str, str]:
    """The error name and the Cause of a task whose SageMaker call was refused.

    An error that SageMaker's model names keeps its name: `SageMaker.ResourceInUseException`. All others (validation,
    access, throttling) are `SageMaker.AmazonSageMakerException`."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    answer = error.response["ResponseMetadata"]
    name = f"{code.removesuffix('Exception')}Exception" if code in _MODELED else "AmazonSageMakerException"
    cause = (
        f"{message} (Service: AmazonSageMaker; Status Code: {answer['HTTPStatusCode']}; Error Code: {code}; "
        f"Request ID: {answer.get('RequestId', '')}; Proxy: null)"
    )
    return f"SageMaker.{name}", cause
