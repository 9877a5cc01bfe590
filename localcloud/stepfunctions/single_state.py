"""The operation TestState: runs one state of a definition, with a mock in place of its call.

moto has no such operation. Here the state runs alone in moto's interpreter. A failed task is not retried: the answer
says which retrier would retry it, and after how many seconds.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_TestState.html"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from moto.stepfunctions.exceptions import ValidationException
from moto.stepfunctions.parser.api import StateMachineType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
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
from localcloud.stepfunctions.mocked_results import check_iterations, check_result, mock_iterations

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
