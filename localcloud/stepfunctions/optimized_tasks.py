"""The optimized integrations of SageMaker, EMR Serverless and Athena: a task calls, with `.sync` it waits and stops.

moto's interpreter does not know these integrations. They may go when moto does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
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
from localcloud.stepfunctions.outcomes import POLL_S, failure, operation_of, pascal, refused_as, result_of, waited

_RUNNING = ("QUEUED", "RUNNING")


def _optimized(
    client_for: Callable[..., Any],
    service: str,
    in_errors: str,
    base: str,
    end: Callable[[Any, Any, Any, Any, Any], Any],
) -> type[StateTaskServiceCallback]:
    """The class of tasks that call the service.

    `client_for(region, service, credentials)` gives a client under the machine's role. `in_errors` is the service's
    name in error names, `base` the base exception of the SDK for Java. `end(task, env, client, answer, parameters)`
    waits for what a task with `.sync` has started, and gives its result; it stops that if the task was stopped or has
    timed out, as is documented for `.sync`."""

    class OptimizedTask(StateTaskServiceCallback):
        _from_error = refused_as(StateTaskServiceCallback, service, in_errors, base)

        def __init__(self) -> None:
            # moto's code for `.sync` ends with `callback_endpoint.interrupt_all()`, and makes that endpoint only for
            # classes that support tokens too.
            patterns: Any = {ResourceCondition.WaitForTaskToken, ResourceCondition.Sync}
            super().__init__(supported_integration_patterns=patterns)

        def _get_supported_parameters(self) -> set[str]:
            # moto drops a parameter that is not among these, where AWS refuses the whole definition.
            return set()

        def _eval_parameters(self, env: Any) -> Any:
            # Here the task fails by States.Runtime, which nothing can catch.
            parameters = super()._eval_parameters(env)
            try:
                self._named(parameters)
            except KeyError as error:
                cause = f"The field '{error.args[0]}' is not supported by Step Functions"
                raise FailureEventException(failure(self, env, "States.Runtime", cause)) from None
            return parameters

        def _named(self, parameters: Any) -> Any:
            return _members(get_service_model(service).operation_model(operation_of(self)).input_shape, parameters)

        def _eval_service_task(
            self, env: Any, resource_runtime_part: Any, normalised_parameters: Any, state_credentials: Any
        ) -> None:
            client = client_for(resource_runtime_part.region, service, state_credentials)
            answer = getattr(client, self._get_boto_service_action())(**self._named(normalised_parameters))
            answer.pop("ResponseMetadata", None)
            env.stack.append(pascal(in_milliseconds(answer)))

        def _eval_sync(self, *_: Any, **given: Any) -> Any:
            # moto would not ask at all if the task was stopped while it made its call, and what that has started would
            # go on.
            return given["sync_resolver"]()

        def _build_sync_resolver(
            self, env: Any, resource_runtime_part: Any, normalised_parameters: Any, state_credentials: Any
        ) -> Callable[[], Any]:
            client = client_for(resource_runtime_part.region, service, state_credentials)
            return partial(end, self, env, client, env.stack.pop(), normalised_parameters)

    return OptimizedTask


def _members(shape: Any, value: Any) -> Any:
    """The parameters as the API names them. Raises KeyError for a member that it lacks or that has no capital."""
    if shape.type_name == "structure" and isinstance(value, dict):
        names = {name[:1].upper() + name[1:]: name for name in shape.members}
        return {names[key]: _members(shape.members[names[key]], inner) for key, inner in value.items()}
    return [_members(shape.member, one) for one in value] if shape.type_name == "list" else value


def sagemaker_task(cloud: Cloud, client_for: Callable[..., Any]) -> type[StateTaskServiceCallback]:
    """The class of tasks of SageMaker's integration."""

    def end(task: Any, env: Any, client: Any, submitted: Any, parameters: Any) -> Any:
        # The answer says which kind of job it is: `{"TrainingJobArn": …}` gives Training.
        kind = next(key for key in submitted if key.endswith("JobArn")).removesuffix("JobArn")
        named = {f"{kind}JobName": parameters[f"{kind}JobName"]}
        if not waited(env, jobs(cloud).ended[submitted[f"{kind}JobArn"]]):
            getattr(client, f"stop_{kind.lower()}_job")(**named)
            return {}
        described = getattr(client, f"describe_{kind.lower()}_job")(**named)
        # AWS's pages do not say how the task of a stopped job ends. Here it ends well, so that a machine that does not
        # look at the status is found.
        return result_of(task, env, described, described[f"{kind}JobStatus"] in ("Completed", "Stopped"))

    return _optimized(client_for, "sagemaker", "SageMaker", "AmazonSageMakerException", end)


def athena_task(client_for: Callable[..., Any]) -> type[StateTaskServiceCallback]:
    """The class of tasks of Athena's integration."""

    def end(task: Any, env: Any, client: Any, submitted: Any, _: Any) -> Any:
        described = client.get_query_execution(**submitted)
        while (state := described["QueryExecution"]["Status"]["State"]) in _RUNNING:
            if not env.is_running():
                client.stop_query_execution(**submitted)
                return {}
            time.sleep(POLL_S)
            described = client.get_query_execution(**submitted)
        return result_of(task, env, described, state == "SUCCEEDED")

    return _optimized(client_for, "athena", "Athena", "AmazonAthenaException", end)


def spark_task(cloud: Cloud, client_for: Callable[..., Any]) -> type[StateTaskServiceCallback]:
    """The class of tasks of EMR Serverless's integration, of which `startJobRun.sync` is covered.

    Its members begin with a capital. https://docs.aws.amazon.com/step-functions/latest/dg/connect-emr-serverless.html"""

    def end(task: Any, env: Any, client: Any, submitted: Any, _: Any) -> Any:
        named = {"applicationId": submitted["ApplicationId"], "jobRunId": submitted["JobRunId"]}
        if not waited(env, jobs(cloud).ended[submitted["Arn"]]):
            client.cancel_job_run(**named)
            return {}
        described = client.get_job_run(**named)["jobRun"]
        result_of(task, env, {**pascal(described), "ResponseMetadata": {}}, described["state"] == "SUCCESS")
        # AWS's page says that the answer is that of StartJobRun.
        return submitted

    return _optimized(client_for, "emr-serverless", "EMRServerless", "EmrServerlessException", end)
