"""The optimized Athena integration of Step Functions: a task starts a query, and with `.sync` waits for it or stops it.

moto's interpreter does not know this integration. It may go when moto does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from moto.core.utils import get_service_model
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback,
)

from localcloud.sagemaker.api import in_milliseconds
from localcloud.stepfunctions.outcomes import failure

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
