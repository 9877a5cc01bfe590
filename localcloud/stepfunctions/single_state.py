"""The operation TestState: runs one state of a definition, with a mock in place of its call.

moto has no such operation. Here the state runs alone in moto's interpreter. A failed task is not retried: the answer
says which retrier would retry it, and after how many seconds.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_TestState.html
Refused by name, as not covered: other states than COVERED, a task without a mocked error, and the fields in
`_NOT_COVERED`. Of the inspection data only `errorDetails` is answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.stepfunctions.exceptions import ValidationException
from moto.stepfunctions.parser.api import StateMachineType
from moto.stepfunctions.parser.asl.component.common.catch.catch_decl import CatchDecl
from moto.stepfunctions.parser.asl.component.common.catch.catch_outcome import CatchOutcome
from moto.stepfunctions.parser.asl.component.common.catch.catcher_outcome import CatcherOutcomeCaught
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.common.retry.retry_decl import RetryDecl
from moto.stepfunctions.parser.asl.component.common.retry.retry_outcome import RetryOutcome
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.evaluation_details import AWSExecutionDetails
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramRunning
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.mocking.mock_config import (
    MockedResponseThrow,
    MockTestCase,
    StateMockedResponses,
)

from localcloud.kernel.cloud import ACCOUNT, Cloud
from localcloud.stepfunctions.error_names import RUNTIME
from localcloud.stepfunctions.executions import stamp

# Who took an error: the retriers and catchers of the state, in the place of moto's.


@dataclass(kw_only=True)
class Inspected:
    """What the answer of TestState says of an error."""

    error: dict[str, str] = field(default_factory=dict)
    """The error of a task that was retried or caught: `{"error": "States.Timeout", "cause": ""}`."""
    handler: dict[str, int] = field(default_factory=dict)
    """The retrier or catcher that took the error: `{"catchIndex": 0}`."""


class WouldRetryError(Exception):
    """Raised when a retrier matches that has an attempt left: TestState does not retry."""


class _Retry(RetryDecl):
    """The state's retriers. The first one that matches ends the test, or lets the catchers have the error."""

    def __init__(self, retriers: Any, inspected: Inspected, retries: int) -> None:
        super().__init__(retriers)
        self._inspected, self._retries = inspected, retries

    def _eval_body(self, env: Any) -> None:
        # moto's components speak by a stack: here lies the error's name, and `error_equals` takes it from there and
        # leaves whether it matches.
        error = env.stack.pop()
        for index, retrier in enumerate(self.retriers):
            env.stack.append(error)
            retrier.error_equals.eval(env)
            if not env.stack.pop():
                continue
            # As on AWS the first retrier that matches decides alone, even if its attempts are used up.
            if self._retries >= retrier.max_attempts.attempts:
                break
            self._inspected.handler = {"retryIndex": index, "retryBackoffIntervalSeconds": self._interval_s(retrier)}
            self._inspected.error = _error(env)
            raise WouldRetryError
        env.stack.append(RetryOutcome.CannotRetry)

    def _interval_s(self, retrier: Any) -> int:
        """Seconds before the next attempt. With a jitter: the most that they can be."""
        interval_s = retrier.interval_seconds.seconds * retrier.backoff_rate.rate**self._retries
        return int(min(interval_s, retrier.max_delay_seconds.max_delays_seconds))


class _Catch(CatchDecl):
    """The state's catchers. Keeps which of them has caught."""

    def __init__(self, catchers: Any, inspected: Inspected) -> None:
        super().__init__(catchers)
        self._inspected = inspected

    def _eval_body(self, env: Any) -> None:
        error = _error(env)
        for index, catcher in enumerate(self.catchers):
            catcher.eval(env)
            if isinstance(env.stack.pop(), CatcherOutcomeCaught):
                self._inspected.handler, self._inspected.error = {"catchIndex": index}, error
                env.stack.append(CatchOutcome.Caught)
                return
        env.stack.append(CatchOutcome.NotCaught)


def _error(env: Any) -> dict[str, str]:
    output = env.states.get_error_output()
    return {"error": output["Error"] or "", "cause": output["Cause"] or ""}


COVERED = ("Task", "Choice", "Pass", "Succeed", "Fail")
"""The states that can be tested; a Task only with a mocked error."""
_NOT_COVERED = {"context", "stateName", "variables"}
_NAME = "test"
"""The name of the machine, of its state, of the execution and of the test case of a mock."""


def try_state(cloud: Cloud, given: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of TestState to the request `given`, whose fields have the API's names.

    Raises ValidationException for a request that AWS refuses too, and NotImplementedError for what is not covered."""
    definition, configuration = json.loads(given["definition"]), given.get("stateConfiguration") or {}
    _check(definition, configuration, given)
    # `__wrapped__` goes past the cache of `machines._parse_once`, whose programs are shared by executions: the state is
    # changed below.
    parse: Any = AmazonStateLanguageParser.parse
    program, _ = parse.__wrapped__(json.dumps({"StartAt": _NAME, "States": {_NAME: definition}}))
    state, inspected = program.states.states[_NAME], Inspected()
    if getattr(state, "retry", None):
        state.retry = _Retry(state.retry.retriers, inspected, int(configuration.get("retrierRetryCount", 0)))
    if getattr(state, "catch", None):
        state.catch = _Catch(state.catch.catchers, inspected)
    answer = _evaluated(state, _environment(cloud, given), inspected)
    if given.get("inspectionLevel", "INFO") != "INFO":
        answer["inspectionData"] = {"errorDetails": inspected.handler} if inspected.handler else {}
    return answer


def _check(state: Mapping[str, Any], configuration: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise for a request that cannot be answered, before anything runs."""
    mock, kind = given.get("mock"), state.get("Type")
    if kind not in COVERED:
        raise NotImplementedError(f"the local cloud does not cover TestState of a {kind} state")
    if lacking := sorted(_NOT_COVERED & given.keys()):
        raise NotImplementedError(f"the local cloud does not cover TestState with {', '.join(lacking)}")
    if mock and kind != "Task":
        raise ValidationException(f"A mock can only be specified for Task, Map, or Parallel states, not for {kind}")
    if mock and len({"result", "errorOutput"} & mock.keys()) != 1:
        raise ValidationException("A mock must have either a result or an errorOutput")
    if configuration.get("errorCausedByState"):
        raise ValidationException("errorCausedByState can only be specified for Map or Parallel states")
    if kind == "Task" and not mock:
        raise NotImplementedError("the local cloud does not cover TestState of a Task state without a mock")
    if mock and "result" in mock:
        raise NotImplementedError("the local cloud does not cover TestState with a mocked result")


def _environment(cloud: Cloud, given: Mapping[str, Any]) -> Any:
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
    details = AWSExecutionDetails(account=ACCOUNT, region=cloud.region, role_arn=given.get("roleArn", ""))
    env = Environment(
        aws_execution_details=details,
        execution_type=StateMachineType.STANDARD,
        context=context,  # type: ignore[arg-type]
        event_history_context=EventHistoryContext.of_program_start(),
        cloud_watch_logging_session=None,
        activity_store={},
        mock_test_case=_mock(given.get("mock")),
    )
    env.states.reset(started)
    env.next_state_name = _NAME
    return env


def _mock(mock: Mapping[str, Any] | None) -> MockTestCase | None:
    """The mock in moto's form: one response, of the first attempt (0 to 0)."""
    if not mock:
        return None
    output = mock["errorOutput"]
    response = MockedResponseThrow(0, 0, output["error"], output.get("cause", ""))
    return MockTestCase(_NAME, _NAME, [StateMockedResponses(_NAME, _NAME, [response])])


def _evaluated(state: Any, env: Any, inspected: Inspected) -> dict[str, Any]:
    """Run the state, which calls nothing and waits for nothing. Returns the answer without its inspection data."""
    try:
        state.eval(env)
    except WouldRetryError:
        return {"status": "RETRIABLE", **inspected.error}
    except FailureEventException as error:
        return {"status": "FAILED", **(error.get_execution_failed_event_details() or {})}
    except Exception as error:
        return {"status": "FAILED", "error": RUNTIME, "cause": f"{type(error).__name__}: {error}"}
    program = env.program_state()
    if not isinstance(program, ProgramEnded | ProgramRunning):  # a Fail state
        said = getattr(program, "error", None) or {}
        return {"status": "FAILED", **{key: said[key] for key in ("error", "cause") if said.get(key)}}
    following = {"nextState": program.next_state_name} if isinstance(program, ProgramRunning) else {}
    output = to_json_str(env.states.get_input())
    if "catchIndex" in inspected.handler:
        return {"status": "CAUGHT_ERROR", "output": output, **inspected.error, **following}
    return {"status": "SUCCEEDED", "output": output, **following}
