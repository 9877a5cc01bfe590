"""The operation TestState: runs one state of a definition, with a mock in place of its call.

moto has no such operation. Here the state runs alone in moto's interpreter. A failed task is not retried: the answer
says which retrier would retry it, and after how many seconds.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_TestState.html"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.validate import ParamValidator
from moto.core.utils import get_service_model
from moto.stepfunctions.exceptions import ValidationException
from moto.stepfunctions.parser.api import HistoryEventType, StateMachineType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.evaluation_details import AWSExecutionDetails
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramRunning
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.mocking.mock_config import (
    MockedResponseReturn,
    MockedResponseThrow,
    MockTestCase,
    StateMockedResponses,
)

from localcloud.kernel.cloud import ACCOUNT, Cloud
from localcloud.kernel.quotas import quota
from localcloud.stepfunctions.error_names import RUNTIME, TIMEOUT
from localcloud.stepfunctions.executions import stamp
from localcloud.stepfunctions.inspection import Inspected, WouldRetryError, inspect

# The mocks of TestState: results of tasks, checked against AWS's own model of the call, and ends of iterations.
#
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_MockInput.html
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_InspectionData.html

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


LONGEST_S = quota("states test", "time")
"""AWS's time limit for the state, in seconds."""
ALONE = "TestState"
"""The name of a state whose definition comes without its machine."""
WAITING = (".sync", ".sync:2", ".waitForTaskToken")
"""The ends of the resource of a task that waits. Such a task needs a mock."""
_NAME = "test"
"""The name of the machine, of the execution and of the test case of a mock."""


def try_state(cloud: Cloud, given: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of TestState to the request `given`, whose fields have the API's names.

    Raises ValidationException for a request that AWS refuses too, and NotImplementedError for what is not covered."""
    name, definition = _state_of(given)
    _check(definition, given)
    inspected = Inspected()
    state = _parsed(name, definition)
    if definition.get("Type") == "Map":
        mock_iterations(state, given["mock"], inspected)
    inspect(state, inspected, int((given.get("stateConfiguration") or {}).get("retrierRetryCount", 0)))
    env = _environment(cloud, name, given)
    inspected.data["input"] = to_json_str(env.states.get_input())
    answer = _evaluated(cloud, name, state, env, inspected)
    if given.get("inspectionLevel", "INFO") != "INFO":
        details = {"errorDetails": inspected.handler} if inspected.handler else {}
        answer["inspectionData"] = inspected.data | details
    return answer


def _state_of(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name of the state and its definition. The request has the state alone, or a machine and a state's name."""
    definition = json.loads(given["definition"])
    name = given.get("stateName")
    if name is None:
        return ALONE, definition
    if name not in definition.get("States", {}):
        raise ValidationException(f"State not found in definition: {name}")
    return name, definition["States"][name]


def _check(state: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise for a request that cannot be answered, before anything runs."""
    mock, kind = given.get("mock"), state.get("Type")
    if kind == "Parallel":
        raise NotImplementedError("the local cloud does not cover TestState of a Parallel state")
    if mock and kind not in ("Task", "Map"):
        raise ValidationException(f"A mock can only be specified for Task, Map, or Parallel states, not for {kind}")
    if mock and len({"result", "errorOutput"} & mock.keys()) != 1:
        raise ValidationException("A mock must have either a result or an errorOutput")
    if kind == "Map":
        check_iterations(state, given)
    elif (given.get("stateConfiguration") or {}).get("errorCausedByState"):
        raise ValidationException("errorCausedByState can only be specified for Map or Parallel states")
    if given.get("context") and not mock:
        raise ValidationException("A context can only be specified with a mock")
    if kind == "Task" and not mock:
        resource = str(state["Resource"])
        if resource.endswith(WAITING):
            raise ValidationException(f"A mock is required for the service integration {resource}")
        if not given.get("roleArn"):
            raise ValidationException("A roleArn is required when no mock is specified")
    if mock and "result" in mock and kind == "Task":
        check_result(str(state["Resource"]), json.loads(mock["result"]), mock.get("fieldValidationMode", "STRICT"))


def _parsed(name: str, state: Mapping[str, Any]) -> Any:
    """moto's component of the state, parsed for this test alone, so that changes of it change no machine."""
    # `__wrapped__` goes past the cache of `machines._parse_once`, whose programs are shared by executions.
    parse: Any = AmazonStateLanguageParser.parse
    program, _ = parse.__wrapped__(json.dumps({"StartAt": name, "States": {name: state}}))
    return program.states.states[name]


def _environment(cloud: Cloud, name: str, given: Mapping[str, Any]) -> Any:
    """moto's environment for the state: its input, its context object, the role and the mock."""
    started = json.loads(given.get("input") or "{}")
    machine = f"arn:aws:states:{cloud.region}:{ACCOUNT}:stateMachine:{_NAME}"
    context: dict[str, Any] = {
        "Execution": {
            "Id": f"arn:aws:states:{cloud.region}:{ACCOUNT}:execution:{_NAME}:{_NAME}",
            "Input": started,
            "Name": _NAME,
            "RoleArn": given.get("roleArn", ""),
            "StartTime": stamp(cloud.clock.now()),
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": machine, "Name": _NAME},
    }
    # The request's own context wins, field by field: `{"Execution": {"Name": "x"}}` leaves the other fields.
    for key, value in json.loads(given.get("context") or "{}").items():
        context[key] = {**context.get(key, {}), **value} if isinstance(value, dict) else value
    details = AWSExecutionDetails(account=ACCOUNT, region=cloud.region, role_arn=given.get("roleArn", ""))
    env = Environment(
        aws_execution_details=details,
        execution_type=StateMachineType.STANDARD,
        context=context,  # type: ignore[arg-type]
        event_history_context=EventHistoryContext.of_program_start(),
        cloud_watch_logging_session=None,
        activity_store={},
        mock_test_case=_mock(name, given.get("mock")),
    )
    env.states.reset(started)
    env.next_state_name = name
    return env


def _mock(name: str, mock: Mapping[str, Any] | None) -> MockTestCase | None:
    """The mock in moto's form: one response, of the first attempt (0 to 0)."""
    if not mock:
        return None
    response: Any
    if "result" in mock:
        response = MockedResponseReturn(0, 0, json.loads(mock["result"]))
    else:
        output = mock["errorOutput"]
        response = MockedResponseThrow(0, 0, output["error"], output.get("cause", ""))
    return MockTestCase(_NAME, _NAME, [StateMockedResponses(name, _NAME, [response])])


def _evaluated(cloud: Cloud, name: str, state: Any, env: Any, inspected: Inspected) -> dict[str, Any]:
    """Run the state, and return the answer without its inspection data."""
    failed: list[dict[str, str]] = []
    would_retry = threading.Event()
    ended = threading.Event()

    def run() -> None:
        try:
            state.eval(env)
        except WouldRetryError:
            would_retry.set()
        except FailureEventException as error:
            failed.append(error.get_execution_failed_event_details() or {})  # type: ignore[arg-type]
        except Exception as error:
            failed.append({"error": RUNTIME, "cause": f"{type(error).__name__}: {error}"})
        finally:
            ended.set()

    # On a thread of its own, which outlives the time limit: moto's interpreter cannot be interrupted.
    cloud.background(f"test-{name}", run)
    end = cloud.clock.timestamp() + LONGEST_S
    while not ended.wait(0.2) and not cloud.stopping.is_set():
        if cloud.clock.timestamp() > end:
            env.set_timed_out()
            return {"status": "FAILED", "error": TIMEOUT}
    if would_retry.is_set():
        return {"status": "RETRIABLE", **inspected.error}
    if failed:
        return {"status": "FAILED", **failed[0]}
    return _succeeded(env, inspected)


def _succeeded(env: Any, inspected: Inspected) -> dict[str, Any]:
    """The answer for a state without an error of its own: SUCCEEDED, CAUGHT_ERROR, or FAILED for a Fail state."""
    program = env.program_state()
    if not isinstance(program, ProgramEnded | ProgramRunning):  # a Fail state
        error = getattr(program, "error", None) or {}
        return {"status": "FAILED", **{key: error[key] for key in ("error", "cause") if error.get(key)}}
    following = {"nextState": program.next_state_name} if isinstance(program, ProgramRunning) else {}
    output = to_json_str(env.states.get_input())
    if "catchIndex" in inspected.handler:
        return {"status": "CAUGHT_ERROR", "output": output, **inspected.error, **following}
    return {"status": "SUCCEEDED", "output": output, **following}
