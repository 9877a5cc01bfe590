"""Every way out of a state of a machine: its retriers, its catchers, the branches of its choices; and an error or input
that takes it. It may be that none does: an earlier retrier or catcher shadows it, or its service has no such error."""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tests.infra.machines.contexts import DEFINITIONS, all_states, context_of
from tests.infra.machines.service_errors import errors_of

State = Mapping[str, Any]
Kind = Literal["Retry", "Catch", "Choice"]
TEST = "tests/infra/machines/test_edges.py::{test}[{edge}]"
TESTS: dict[Kind, str] = {
    "Retry": "test_an_error_is_retried",
    "Catch": "test_an_error_is_caught",
    "Choice": "test_every_branch_is_taken",
}
EXHAUSTED = 1_000
"""Retries after which no retrier has one left."""
WILDCARDS = ("States.TaskFailed", "States.ALL")
PATH = re.compile(r"(?<!\$)\$\.([\w.]+)")
ABSENT = object()


@dataclass(frozen=True, kw_only=True)
class Edge:
    """One way out of a state."""

    machine: str
    state: str
    kind: Kind
    index: int
    """Of the retrier, catcher or branch; the default of a choice comes after its branches."""
    listed: str = ""
    """The error as the retrier or catcher names it, maybe by a wildcard."""

    def __str__(self) -> str:
        return f"{self.machine}/{self.state}/{self.kind} {self.index}" + (f" {self.listed}" if self.listed else "")

    @property
    def test(self) -> str:
        named = f"{self.machine}/{self.state}" if self.kind == "Choice" else str(self)
        return TEST.format(test=TESTS[self.kind], edge=named)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What happened when an error was raised to take an edge, or an input given."""

    by: str
    """The error, or the input as JSON."""
    answer: Mapping[str, Any]

    @property
    def handler(self) -> Mapping[str, int]:
        found: Mapping[str, int] = self.answer.get("inspectionData", {}).get("errorDetails", {})
        return found


@cache
def definitions(stage: str = "prod") -> dict[str, Mapping[str, Any]]:
    """The definition of every machine."""
    return {name: definition(context_of(stage)) for name, definition in DEFINITIONS.items()}


def edges_of(machine: str, definition: Mapping[str, Any]) -> Iterator[Edge]:
    """Of all states; one for each error that a retrier or catcher names."""
    for name, state in all_states(definition).items():
        for kind in ("Retry", "Catch"):
            for index, handler in enumerate(state.get(kind, ())):
                for listed in handler["ErrorEquals"]:
                    yield Edge(machine=machine, state=name, kind=kind, index=index, listed=listed)
        for index in range(len(state.get("Choices", ())) + bool(state.get("Default"))):
            yield Edge(machine=machine, state=name, kind="Choice", index=index)


def all_edges(stage: str = "prod") -> list[Edge]:
    return [edge for machine, definition in definitions(stage).items() for edge in edges_of(machine, definition)]


def errors_for(edge: Edge, state: State) -> list[str]:
    """The errors that could take it: the one that it names where the service has it, for a wildcard all it has."""
    known = errors_of(state["Resource"])
    return sorted(known - set(WILDCARDS)) if edge.listed in WILDCARDS else sorted(known & {edge.listed})


def is_taken(edge: Edge, taken: Taken) -> bool:
    wanted = {"Retry": ("RETRIABLE", "retryIndex"), "Catch": ("CAUGHT_ERROR", "catchIndex")}[edge.kind]
    return (taken.answer["status"], taken.handler.get(wanted[1])) == (wanted[0], edge.index)


def raise_on(states: Any, edge: Edge, state: State, *, retries: int | None = None) -> Taken | None:
    """What the first error that takes the edge does; None where none takes it. `states` is boto3's client.

    Retriers come first: for a catcher they have no attempt left."""
    before = retries if retries is not None else (0 if edge.kind == "Retry" else EXHAUSTED)
    for error in errors_for(edge, state):
        taken = Taken(by=error, answer=tried(states, state, input_for(state), error=error, retries=before))
        if is_taken(edge, taken):
            return taken
    return None


def tried(states: Any, state: State, given: Any, *, error: str = "", retries: int = 0) -> dict[str, Any]:
    """TestState's answer."""
    mock: dict[str, Any] = {}
    if error:
        mock = {"errorOutput": {"error": error, "cause": "a cause"}}
    more: dict[str, Any] = {"mock": mock, "stateConfiguration": {"retrierRetryCount": retries}} if mock else {}
    answer: dict[str, Any] = states.test_state(
        definition=json.dumps(state), input=json.dumps(given), inspectionLevel="DEBUG", **more
    )
    return answer


def input_for(state: State) -> dict[str, Any]:
    """An input that has every path which the state's parameters read."""
    found: dict[str, Any] = {}
    for path in PATH.findall(json.dumps(state.get("Parameters", {}))):
        put(found, path, "x")
    return found


def put(document: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for part in above:
        document = document.setdefault(part, {})
        if not isinstance(document, dict):
            return
    if value is not ABSENT:
        document.setdefault(last, value)


def inputs_for(choice: State) -> Iterator[dict[str, Any]]:
    """Inputs of a choice: every combination of values on both sides of each comparison."""
    values: dict[str, list[Any]] = defaultdict(list)
    for rule in choice["Choices"]:
        for path, value in _compared(rule):
            if value not in values[path]:
                values[path].append(value)
    for combination in itertools.product(*values.values()):
        found: dict[str, Any] = {}
        # Those that are absent come last: they make nothing but what lies above them.
        for path, value in zip(values, combination, strict=True):
            put(found, path, value)
        yield found


def _compared(rule: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Paths with the values that they may have: some for which the comparison holds, and some for which not."""
    for inner in (*rule.get("And", ()), *rule.get("Or", ()), *([rule["Not"]] if "Not" in rule else ())):
        yield from _compared(inner)
    if "Variable" not in rule:
        return
    variable = rule["Variable"].removeprefix("$.")
    ((operator, operand),) = ((key, value) for key, value in rule.items() if key not in ("Variable", "Next", "Comment"))
    yield from ((variable, value) for value in _sides(operator, operand))
    if operator == "StringEqualsPath":
        yield from ((operand.removeprefix("$."), value) for value in ("x", "y"))


def _sides(operator: str, operand: Any) -> tuple[Any, ...]:
    sides: dict[str, tuple[Any, ...]] = {
        "IsPresent": (True, ABSENT),
        "IsNull": (None, "x"),
        "IsTimestamp": ("2026-01-01T00:00:00Z", "x"),
        "BooleanEquals": (True, False),
        "StringEqualsPath": ("x",),
    }
    if operator == "StringEquals":
        return operand, "something else"
    return sides[operator] if operator in sides else (operand, operand - 1, operand + 1)


def branches_taken(states: Any, choice: State) -> dict[int, str]:
    """By index of the branch an input that takes it; the default comes after the branches."""
    marked = {
        "Type": "Choice",
        "Choices": [{**rule, "Next": str(index)} for index, rule in enumerate(choice["Choices"])],
        **({"Default": str(len(choice["Choices"]))} if "Default" in choice else {}),
    }
    found: dict[int, str] = {}
    for given in inputs_for(choice):
        answer = tried(states, marked, given)
        if answer["status"] == "SUCCEEDED":
            found.setdefault(int(answer["nextState"]), json.dumps(given))
    return found
