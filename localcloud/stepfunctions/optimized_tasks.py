"""The optimized integrations of SageMaker and Athena: a task calls, and with `.sync` waits, describes and stops.

moto's interpreter does not know these integrations. They may go when moto does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from moto.core.utils import get_service_model
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback,
)

from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker.api import in_milliseconds
from localcloud.sagemaker.jobs.jobs import jobs
from localcloud.stepfunctions.outcomes import POLL_S, failure, operation_of, refused_as, result_of, waited

_OPTIMIZED = {
    "CreateEndpoint",
    "CreateEndpointConfig",
    "CreateModel",
    "CreateProcessingJob",
    "CreateTrainingJob",
    "CreateTransformJob",
    "UpdateEndpoint",
}
"""The operations of SageMaker's integration that are covered. Labelling and tuning jobs are not."""
_RUNNING = ("QUEUED", "RUNNING")


def _optimized(
    client_for: Callable[..., Any], service: str, in_errors: str, base: str
) -> type[StateTaskServiceCallback]:
    """The class of tasks that call the service, without what waits for `.sync`.

    `client_for(region, service, credentials)` gives a client under the machine's role. `in_errors` is the service's
    name in error names, `base` the base exception of the SDK for Java."""

    class OptimizedTask(StateTaskServiceCallback):
        _from_error = refused_as(StateTaskServiceCallback, service, in_errors, base)

        def __init__(self) -> None:
            # moto's code for `.sync` ends with `callback_endpoint.interrupt_all()`, and makes that endpoint only for
            # classes that support tokens too.
            patterns: Any = {ResourceCondition.WaitForTaskToken, ResourceCondition.Sync}
            super().__init__(supported_integration_patterns=patterns)

        def _get_supported_parameters(self) -> set[str] | None:
            return set(get_service_model(service).operation_model(operation_of(self)).input_shape.members)

        def _eval_service_task(
            self, env: Any, resource_runtime_part: Any, normalised_parameters: Any, state_credentials: Any
        ) -> None:
            client = client_for(resource_runtime_part.region, service, state_credentials)
            answer = getattr(client, self._get_boto_service_action())(**normalised_parameters)
            answer.pop("ResponseMetadata", None)
            env.stack.append(in_milliseconds(answer))

        def _eval_sync(self, *_: Any, **given: Any) -> Any:
            # moto would not ask at all if the task was stopped while it made its call, and what that has started would
            # go on.
            return given["sync_resolver"]()

    return OptimizedTask


def sagemaker_task(cloud: Cloud, client_for: Callable[..., Any]) -> type[StateTaskServiceCallback]:
    """The class of tasks of SageMaker's integration."""
    optimized: Any = _optimized(client_for, "sagemaker", "SageMaker", "AmazonSageMakerException")

    class SageMakerTask(optimized):  # type: ignore[misc]
        def _get_supported_parameters(self) -> set[str] | None:
            return super()._get_supported_parameters() if operation_of(self) in _OPTIMIZED else None

        def _eval_parameters(self, env: Any) -> Any:
            # moto drops a parameter that the API does not know, where AWS refuses the whole definition. Here the task
            # fails by States.Runtime, which nothing can catch.
            self.parargs.eval(env=env)
            parameters = env.stack.pop()
            unknown = sorted(set(parameters) - (self._get_supported_parameters() or set()))
            if unknown:
                cause = f"The field '{unknown[0]}' is not supported by Step Functions"
                raise FailureEventException(failure(self, env, "States.Runtime", cause))
            return parameters

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
                # AWS's pages do not say how the task of a stopped job ends. Here it ends well, so that a machine that
                # does not look at the status is found.
                return result_of(self, env, described, described[f"{kind}JobStatus"] in ("Completed", "Stopped"))

            return resolve

    return SageMakerTask


def athena_task(client_for: Callable[..., Any]) -> type[StateTaskServiceCallback]:
    """The class of tasks of Athena's integration."""
    optimized: Any = _optimized(client_for, "athena", "Athena", "AmazonAthenaException")

    class AthenaTask(optimized):  # type: ignore[misc]
        def _build_sync_resolver(
            self, env: Any, resource_runtime_part: Any, state_credentials: Any, **_: Any
        ) -> Callable[[], Any]:
            client = client_for(resource_runtime_part.region, "athena", state_credentials)
            query = {"QueryExecutionId": env.stack.pop()["QueryExecutionId"]}

            def resolve() -> Any:
                described = client.get_query_execution(**query)
                while (state := described["QueryExecution"]["Status"]["State"]) in _RUNNING:
                    # If the task was stopped or has timed out, the query is stopped, as is documented for `.sync`.
                    if not env.is_running():
                        client.stop_query_execution(**query)
                        return {}
                    time.sleep(POLL_S)
                    described = client.get_query_execution(**query)
                return result_of(self, env, described, state == "SUCCEEDED")

            return resolve

    return AthenaTask
