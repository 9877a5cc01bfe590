"""The mocks of TestState: results of tasks, checked against AWS's own model of the call, and ends of iterations.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_MockInput.html
https://docs.aws.amazon.com/step-functions/latest/apireference/API_InspectionData.html"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.validate import ParamValidator
from moto.core.utils import get_service_model
from moto.stepfunctions.exceptions import ValidationException
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

from localcloud.stepfunctions.inspection import Inspected

# `arn:aws:states:::sagemaker:createTrainingJob.sync`: service, action, and the pattern by which the task waits.
_RESOURCE = re.compile(r"arn:[\w-]+:states:::(?:aws-sdk:)?(\w+):(\w+)(\.sync(?::2)?|\.waitForTaskToken)?")
_AS_JSON = {"lambda": {"Payload"}, "stepfunctions": {"Input", "Output"}}
"""Fields that an integration gives as JSON, where the API has text: the model cannot check them."""


def check_result(resource: str, result: Any, mode: str) -> None:
    """Raise ValidationException if AWS would refuse `result` as the mocked result of a task.

        mode      what is checked
        STRICT    all required fields are there, and every field has the API's type
        PRESENT   the fields that are there have the API's type
        NONE      nothing

    A task that waits for a token is not checked: SendTaskSuccess may give anything."""
    found = _RESOURCE.fullmatch(resource)
    if mode == "NONE" or not found or found[3] == ".waitForTaskToken":
        return
    service = StateTaskService._SERVICE_NAME_SFN_TO_BOTO_OVERRIDES.get(found[1], found[1])
    shape = _output_shape(service, found[2], is_waited_for=bool(found[3]))
    if shape is None:
        return
    if not isinstance(result, Mapping):
        raise ValidationException(f"Mock result of {resource}: expected an object, got {type(result).__name__}")
    # Step Functions writes each field with a capital (`ExecutionArn`), the API of some services does not.
    known = {name[:1].upper() + name[1:]: name for name in shape.members}
    skipped = _AS_JSON.get(service, set())
    values = {known.get(key, key): value for key, value in result.items() if key not in skipped}
    # botocore's validator of requests takes any shape. Its errors are a private list of (kind, name, details).
    report = ParamValidator().validate(values, shape)
    errors = [one for one in report._errors if mode == "STRICT" or one[0] != "missing required field"]
    if errors:
        report._errors = errors
        raise ValidationException(f"Mock result of {resource}: {report.generate_report()}")


def _output_shape(service: str, action: str, *, is_waited_for: bool) -> Any:
    """The shape of the call's answer. For a task that waits: of the answer that describes its job or execution."""
    model, name = get_service_model(service), action[:1].upper() + action[1:]
    if is_waited_for:
        name = "DescribeExecution" if name == "StartExecution" else name.replace("Create", "Describe", 1)
    return model.operation_model(name).output_shape


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
