"""TestState of a Map state: shows its items and their inputs. No iteration runs; the mock says how they end.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_InspectionData.html"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from moto.stepfunctions.exceptions import ValidationException
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

from infra.local.stepfunctions.inspection import Inspected


def check_iterations(state: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise ValidationException for a request that AWS refuses too.

    Raises NotImplementedError for a distributed Map state, which the local cloud does not cover."""
    processor, mock = state.get("ItemProcessor") or {}, given.get("mock")
    is_inline = processor.get("ProcessorConfig", {}).get("Mode", "INLINE") == "INLINE"
    if not processor or not is_inline or "ItemReader" in state:
        raise NotImplementedError("the local cloud does not cover TestState of a distributed Map state")
    if not mock:
        raise ValidationException("A mock is required for a Map state")
    if "result" in mock and not isinstance(json.loads(mock["result"]), list):
        raise ValidationException("Mock result of a Map state: expected an array, of what its iterations give")
    cause = (given.get("stateConfiguration") or {}).get("errorCausedByState")
    if cause is not None and cause not in processor["States"]:
        raise ValidationException(f"errorCausedByState: {cause} is no state of the ItemProcessor")


def mock_iterations(state: Any, mock: Mapping[str, Any], inspected: Inspected) -> None:
    """Change moto's component of a Map state: once its items are known, it ends as the mock says."""

    # moto evaluates the items first, and leaves them on the stack for the iterations. This stands in their place.
    def ended(env: Any) -> None:
        given = env.stack.pop()
        inspected.data["afterItemsPath"] = to_json_str(given.input_items)
        if given.item_selector:
            inspected.data["afterItemSelector"] = to_json_str(list(_selected(env, given)))
        inspected.data["maxConcurrency"] = given.max_concurrency
        if "errorOutput" in mock:
            raise _failure(env, mock["errorOutput"])
        env.stack.append(json.loads(mock["result"]))

    state.iteration_component.eval = ended


def _selected(env: Any, given: Any) -> Iterator[Any]:
    """The input of each iteration, by the state's ItemSelector."""
    whole = env.states.get_input()
    for index, item in enumerate(given.input_items):
        # As in an iteration: a frame whose context has the item, and the state's whole input as its data.
        frame = env.open_frame()
        try:
            frame.states.context_object.context_object_data["Map"] = {"Item": {"Index": index, "Value": item}}
            frame.states.reset(input_value=whole)
            frame.stack.append(whole)
            given.item_selector.eval(frame)
            yield frame.stack.pop()
        finally:
            env.close_frame(frame)


def _failure(env: Any, error: Mapping[str, str]) -> FailureEventException:
    name, cause = error["error"], error.get("cause", "")
    details: Any = {"taskFailedEventDetails": TaskFailedEventDetails(error=name, cause=cause)}
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=CustomErrorName(error_name=name),
            event_type=HistoryEventType.TaskFailed,
            event_details=details,
        )
    )
