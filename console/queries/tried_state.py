"""One state of a deployed machine, tried by itself: Step Functions' TestState with a mock in place of the call.

https://docs.aws.amazon.com/step-functions/latest/dg/test-state-isolation.html"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from millrace.errors import EnvironmentNotFoundError, RunError
from millrace.names import EVERY_MACHINE, WorkloadNames


@dataclass(frozen=True, kw_only=True)
class Handler:
    """The retrier or catcher that took an error."""

    kind: str
    """`Retry` or `Catch`."""
    index: int
    """From 0, in the state's list of them."""
    of: int
    """How many of its kind the state has."""
    errors: tuple[str, ...]
    """What it matches."""
    wait_s: int | None
    """Before the next attempt, the most that a jitter lets it be; None of a catcher."""
    attempts: int | None
    """All that a retrier allows; None of a catcher."""


@dataclass(frozen=True, kw_only=True)
class TriedState:
    """What the state did."""

    status: str
    """SUCCEEDED, FAILED, RETRIABLE or CAUGHT_ERROR."""
    next_state: str | None
    """None where the machine would end, fail or try again."""
    output: Any
    error: str | None
    cause: str | None
    handler: Handler | None
    parameters: Any
    """Of the call that the mock stands for; None where there is none."""


def try_state(
    states: Any,
    names: WorkloadNames,
    machine: str,
    state: str,
    *,
    given: Any,
    mock: Mapping[str, Any] | None,
    retries: int = 0,
) -> TriedState:
    """What the state does with the input `given` when its call ends as `mock` says, after `retries` retries.

    No call is made. Raises RunError for a machine, a state or a mock that does not fit, EnvironmentNotFoundError when
    the machine is not deployed. `states` is boto3's Step Functions client."""
    definition = _definition(states, names, machine)
    known = definition["States"]
    if state not in known:
        raise RunError(f"STATE: expected one of {list(known)}, got {state!r}")
    is_task = known[state]["Type"] == "Task"
    if is_task is not bool(mock):
        told = f"a task, {known[state].get('Resource')}" if is_task else f"a {known[state]['Type']} state"
        raise RunError(f"--mock: expected {'one' if is_task else 'none'}, since {state!r} is {told}")
    # Of a result those fields are checked that are given, so that a person need not write all that AWS answers.
    mocked = {"mock": {**mock, "fieldValidationMode": "PRESENT"}} if mock else {}
    counted = {"stateConfiguration": {"retrierRetryCount": retries}} if mock else {}
    answer = states.test_state(
        definition=json.dumps(definition),
        stateName=state,
        input=json.dumps(given),
        inspectionLevel="DEBUG",
        **mocked,
        **counted,
    )
    return _read(known[state], answer)


def _definition(states: Any, names: WorkloadNames, machine: str) -> Any:
    if machine not in EVERY_MACHINE:
        raise RunError(f"MACHINE: expected one of {list(EVERY_MACHINE)}, got {machine!r}")
    try:
        described = states.describe_state_machine(stateMachineArn=names.machine_arn(machine))
    except states.exceptions.StateMachineDoesNotExist:
        raise EnvironmentNotFoundError(
            f"expected the machine {names.machine(machine)}, got none: is it deployed?"
        ) from None
    return json.loads(described["definition"])


def _read(state: Mapping[str, Any], answer: Mapping[str, Any]) -> TriedState:
    inspected = answer.get("inspectionData", {})
    parameters, output = inspected.get("afterParameters"), answer.get("output")
    return TriedState(
        status=answer["status"],
        next_state=answer.get("nextState"),
        output=json.loads(output) if output else None,
        error=answer.get("error"),
        cause=answer.get("cause"),
        handler=_handler(state, inspected.get("errorDetails", {})),
        parameters=json.loads(parameters) if parameters and state["Type"] == "Task" else None,
    )


def _handler(state: Mapping[str, Any], details: Mapping[str, int]) -> Handler | None:
    for kind, key in (("Retry", "retryIndex"), ("Catch", "catchIndex")):
        if (index := details.get(key)) is not None:
            taken = state[kind][index]
            return Handler(
                kind=kind,
                index=index,
                of=len(state[kind]),
                errors=tuple(taken["ErrorEquals"]),
                wait_s=details.get("retryBackoffIntervalSeconds"),
                attempts=taken.get("MaxAttempts", 3) if kind == "Retry" else None,
            )
    return None
