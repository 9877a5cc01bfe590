"""Try one state of a deployed machine by itself: Step Functions' TestState with a mock instead of the call.

https://docs.aws.amazon.com/step-functions/latest/dg/test-state-isolation.html"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from millrace.errors import EnvironmentNotFoundError, RunError
from millrace.names import EVERY_MACHINE, WorkloadNames

NOT_OF_INPUT = frozenset({"ItemProcessor", "ResultPath", "ResultSelector", "OutputPath", "Comment", "Catch"})
"""Keys of a state in which `$` is not the state's input."""


@dataclass(frozen=True, kw_only=True)
class Handler:
    """The retrier or catcher that handled an error."""

    kind: str
    """`Retry` or `Catch`."""
    index: int
    """Its place in the state's list of retriers or catchers, from 0."""
    of: int
    """How many of its kind the state has."""
    errors: tuple[str, ...]
    """The errors that it matches."""
    wait_s: int | None
    """Seconds before the next attempt; with jitter, the longest that it may be. None for a catcher."""
    attempts: int | None
    """How many attempts the retrier allows in all; None for a catcher."""


@dataclass(frozen=True, kw_only=True)
class TriedState:
    """What the state did."""

    status: str
    """SUCCEEDED, FAILED, RETRIABLE or CAUGHT_ERROR."""
    next_state: str | None
    """None if the machine would end, fail or try again."""
    output: Any
    error: str | None
    cause: str | None
    handler: Handler | None
    parameters: Any
    """The parameters of the call that the mock stands for; None if there is no call."""
    items: Any
    """The input of each iteration of a Map state; None for other states."""
    reads: tuple[str, ...]
    """What the state reads from its input, such as `$.detail.feed`, in the order of the definition."""


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
    """What the state does with the input `given` if its call ends as `mock` says, after `retries` retries. No call is
    made.

    `states` is boto3's Step Functions client.
    Raises RunError if there is no such machine or state, or if the mock does not fit the state. Raises
    EnvironmentNotFoundError if the machine is not deployed."""
    definition = _holder(_definition(states, names, machine), state)
    known = definition["States"][state]
    _check_mock(state, known, mock)
    # PRESENT checks only the fields that the mock gives, so that a person need not write everything that AWS answers.
    mocked = {"mock": {**mock, "fieldValidationMode": "PRESENT"}} if mock else {}
    counted = {"stateConfiguration": {"retrierRetryCount": retries, **_cause(known, mock)}} if mock else {}
    answer = states.test_state(
        definition=json.dumps(definition),
        stateName=state,
        input=json.dumps(given),
        inspectionLevel="DEBUG",
        **mocked,
        **counted,
    )
    return _read(known, answer)


def _holder(definition: Mapping[str, Any], state: str) -> Mapping[str, Any]:
    """The machine that has the state. An iteration of a Map state is a machine by itself and may have it, too.

    Raises RunError if no machine has the state."""
    steps = definition["States"]
    within = [step["ItemProcessor"] for step in steps.values() if "ItemProcessor" in step]
    for one in (definition, *within):
        if state in one["States"]:
            # TestState takes the definition of a machine; an iteration has further keys.
            return {"StartAt": one["StartAt"], "States": one["States"]}
    known = [name for one in (definition, *within) for name in one["States"]]
    raise RunError(f"STATE: expected one of {known}, got {state!r}")


def _check_mock(name: str, state: Mapping[str, Any], mock: Mapping[str, Any] | None) -> None:
    """Raise RunError if the state needs a mock and has none, or takes none and has one."""
    kind = state["Type"]
    if (kind in ("Task", "Map")) is not bool(mock):
        told = f"a task, {state.get('Resource')}" if kind == "Task" else f"a {kind} state"
        raise RunError(f"--mock: expected {'none' if mock else 'one'}, since {name!r} is {told}")
    if kind == "Map" and mock and "result" in mock and not isinstance(json.loads(mock["result"]), list):
        raise RunError(f"--mock result: expected an array, since {name!r} is a Map state: one entry for each iteration")


def _cause(state: Mapping[str, Any], mock: Mapping[str, Any]) -> dict[str, str]:
    """The state of an iteration that failed: its first task that does not catch errors. Empty for other states."""
    if "ItemProcessor" not in state or "errorOutput" not in mock:
        return {}
    steps = state["ItemProcessor"]["States"]
    tasks = [name for name, step in steps.items() if step["Type"] == "Task" and "Catch" not in step]
    return {"errorCausedByState": tasks[0] if tasks else state["ItemProcessor"]["StartAt"]}


def _definition(states: Any, names: WorkloadNames, machine: str) -> Any:
    """The definition of the deployed machine. Raises RunError if there is no such machine, EnvironmentNotFoundError if
    it is not deployed."""
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
        items=json.loads(inspected.get("afterItemSelector", "null")),
        reads=tuple(dict.fromkeys(_paths(state))),
    )


def _paths(value: Any) -> Iterator[str]:
    """The paths into the state's input, without those in the iterations of a Map state: they have another input."""
    if isinstance(value, str):
        # `$$.` is the context object, not the input.
        yield from re.findall(r"(?<!\$)\$\.[\w.]+", value)
    elif isinstance(value, Mapping):
        yield from (path for key, one in value.items() if key not in NOT_OF_INPUT for path in _paths(one))
    elif isinstance(value, list):
        yield from (path for one in value for path in _paths(one))


def _handler(state: Mapping[str, Any], details: Mapping[str, int]) -> Handler | None:
    """The retrier or catcher that handled the error; None if none did."""
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
