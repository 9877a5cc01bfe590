"""One state of a state machine at a time, by moto's interpreter, which is the local cloud's too.

The caller decides when the next state runs, and what befalls the execution in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import moto.stepfunctions.parser.asl.component.state.exec.state_task.lambda_eval_utils as lambda_calls
from moto.stepfunctions.parser.api import StateMachineType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_aws_sdk,
    state_task_service_events,
    state_task_service_sqs,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.evaluation_details import AWSExecutionDetails
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext
from moto.stepfunctions.parser.asl.eval.program_state import ProgramRunning
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

from localcloud.kernel.cloud import ACCOUNT, REGION, Cloud
from localcloud.kernel.patching import replace
from localcloud.stepfunctions.tasks import call_as_role
from localcloud.stepfunctions.waits import wait_by_clock
from millrace.infra.machines.states import Definition, State

CALLING = (lambda_calls, state_task_service_aws_sdk, state_task_service_events, state_task_service_sqs)
"""moto's modules that make the clients of Task states."""


def install(cloud: Cloud, client: Callable[[str], Any]) -> None:
    """Let Task states call with the clients that `client` gives by the name of a service."""
    call_as_role(cloud)
    wait_by_clock(cloud)
    for module in CALLING:
        replace(module, boto_client_for=lambda region, service, state_credentials: client(service))


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """What one state has made of its input."""

    output: Any
    next: str | None = None
    """The next state; None if the execution ends here."""
    error: str = ""
    """The name of the error that nobody has caught; the execution fails with it."""
    again_s: float | None = None
    """After so many seconds the same state is tried again."""


@cache
def _parsed(name: str, state: str) -> Any:
    parse: Any = AmazonStateLanguageParser.parse
    program, _ = parse(json.dumps({"StartAt": name, "States": {name: json.loads(state)}}))
    return program.states.states[name]


def step(definition: Definition, name: str, given: Any, execution: dict[str, Any], *, retries: int) -> Stepped:
    """Run the state `name` on its input `given`. `retries` attempts of the state have failed before."""
    state = definition["States"][name]
    alone = {key: value for key, value in state.items() if key not in ("Retry", "Catch")}
    context = {"Execution": execution, "StateMachine": {"Id": "arn", "Name": "release"}}
    env = Environment(
        aws_execution_details=AWSExecutionDetails(account=ACCOUNT, region=REGION, role_arn=""),
        execution_type=StateMachineType.STANDARD,
        context=context,  # type: ignore[arg-type]
        event_history_context=EventHistoryContext.of_program_start(),
        cloud_watch_logging_session=None,
        activity_store={},
    )
    env.states.reset(json.loads(json.dumps(given)))
    env.next_state_name = name
    program = _parsed(name, json.dumps(alone))
    if retries:
        program = _counted(program, retries)
    try:
        program.eval(env)
    except FailureEventException as error:
        return _failed(state, given, error, retries)
    finally:
        program.__dict__.pop("_evaluate_with_timeout", None)
    ran = env.program_state()
    output = json.loads(json.dumps(env.states.get_input()))
    if isinstance(ran, ProgramRunning):
        return Stepped(output=output, next=ran.next_state_name)
    if error := getattr(ran, "error", None):  # a state Fail
        return Stepped(output=output, error=str(error["error"]))
    return Stepped(output=output)


def _counted(program: Any, retries: int) -> Any:
    """The state's component, whose next evaluation sees `$$.State.RetryCount`: moto begins each state with 0."""
    evaluate = type(program)._evaluate_with_timeout

    def counted(env: Any) -> None:
        env.states.context_object.context_object_data["State"]["RetryCount"] = retries
        evaluate(program, env)

    program._evaluate_with_timeout = counted
    return program


def _failed(state: State, given: Any, error: FailureEventException, retries: int) -> Stepped:
    """The first retrier that matches decides, then the catchers, else the execution fails."""
    details: Any = error.get_execution_failed_event_details() or {}
    name = str(details.get("error"))
    for one in state.get("Retry", ()):
        if matches(name, one["ErrorEquals"]):
            if retries < one["MaxAttempts"]:
                return Stepped(output=given, again_s=one["IntervalSeconds"] * one["BackoffRate"] ** retries)
            break
    for one in state.get("Catch", ()):
        if matches(name, one["ErrorEquals"]):
            caught = {"Error": name, "Cause": str(details.get("cause", ""))}
            return Stepped(output={**given, one["ResultPath"].removeprefix("$."): caught}, next=one["Next"])
    return Stepped(output=given, error=name)


def matches(name: str, wanted: list[str]) -> bool:
    """Whether a retrier or a catcher of these errors takes the error."""
    return name in wanted or "States.ALL" in wanted or ("States.TaskFailed" in wanted and name != "States.Timeout")
