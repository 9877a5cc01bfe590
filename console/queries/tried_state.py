"""One state of a deployed machine, tried by itself: Step Functions' TestState with a mock in place of the call.

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
"""Of a state: what says nothing of its input, which `$` stands for everywhere else."""


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
    items: Any
    """The input of each iteration of a Map state; None of other states."""
    reads: tuple[str, ...]
    """What the state takes out of its input, as `$.detail.feed`; in the order of the definition."""


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
    definition = _holder(_definition(states, names, machine), state)
    known = definition["States"][state]
    _check_mock(state, known, mock)
    # Of a result those fields are checked that are given, so that a person need not write all that AWS answers.
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
    """The machine that has the state, or the iteration of one of its Map states, which is a machine by itself.

    Raises RunError where there is none."""
    steps = definition["States"]
    within = [step["ItemProcessor"] for step in steps.values() if "ItemProcessor" in step]
    for one in (definition, *within):
        if state in one["States"]:
            return {"StartAt": one["StartAt"], "States": one["States"]}
    known = [name for one in (definition, *within) for name in one["States"]]
    raise RunError(f"STATE: expected one of {known}, got {state!r}")


def _check_mock(name: str, state: Mapping[str, Any], mock: Mapping[str, Any] | None) -> None:
    """Raise RunError where the state needs a mock and has none, or has one and takes none."""
    kind = state["Type"]
    if (kind in ("Task", "Map")) is not bool(mock):
        told = f"a task, {state.get('Resource')}" if kind == "Task" else f"a {kind} state"
        raise RunError(f"--mock: expected {'none' if mock else 'one'}, since {name!r} is {told}")
    if kind == "Map" and mock and "result" in mock and not isinstance(json.loads(mock["result"]), list):
        raise RunError(f"--mock result: expected an array, since {name!r} is a Map state: one entry for each iteration")


def _cause(state: Mapping[str, Any], mock: Mapping[str, Any]) -> dict[str, str]:
    """In which state an iteration failed: the first one of it that lets an error pass."""
    if "ItemProcessor" not in state or "errorOutput" not in mock:
        return {}
    steps = state["ItemProcessor"]["States"]
    tasks = [name for name, step in steps.items() if step["Type"] == "Task" and "Catch" not in step]
    return {"errorCausedByState": tasks[0] if tasks else state["ItemProcessor"]["StartAt"]}


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
        items=json.loads(inspected.get("afterItemSelector", "null")),
        reads=tuple(dict.fromkeys(_paths(state))),
    )


def _paths(value: Any) -> Iterator[str]:
    """The paths into the input; not those of the iterations of a Map state, whose input is another."""
    if isinstance(value, str):
        yield from re.findall(r"(?<!\$)\$\.[\w.]+", value)
    elif isinstance(value, Mapping):
        yield from (path for key, one in value.items() if key not in NOT_OF_INPUT for path in _paths(one))
    elif isinstance(value, list):
        yield from (path for one in value for path in _paths(one))


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
