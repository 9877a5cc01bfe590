"""The calls of functions by state machines as the last release made them, without what differs by run.

An execution that began before a deployment calls the new functions with the states of the old release. Of each function
and each shape the shortest call is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
NAME = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b(?:[0-9a-f]{32,64}|[0-9]{17,19}|[0-9A-F]{18})\b|(?<=v\d-)[0-9a-f]{6}"
)
"""UUIDs, digests, the ids of snapshots, the sequence numbers of objects and the marks of versions."""
TIME = re.compile(r"(\dT\d\d):\d\d:\d\d(\.\d+)?")

Payload = Mapping[str, Any]


def calls(states: Any) -> Iterator[tuple[str, Payload]]:
    """Function and payload of each call by the executions that the machines remember."""
    for machine in _pages(states, "list_state_machines", "stateMachines"):
        arn = machine["stateMachineArn"]
        for execution in _pages(states, "list_executions", "executions", stateMachineArn=arn):
            for event in _pages(states, "get_execution_history", "events", executionArn=execution["executionArn"]):
                details = event.get("taskScheduledEventDetails", {})
                if details.get("resourceType") == "lambda":
                    called = json.loads(details["parameters"])
                    yield called["FunctionName"].rpartition("-")[2], called["Payload"]


def _pages(states: Any, operation: str, key: str, **asked: str) -> Iterator[dict[str, Any]]:
    for page in states.get_paginator(operation).paginate(**asked):
        yield from page[key]


def record(made: Iterable[tuple[str, Payload]], folder: Path = FOLDER) -> None:
    """Write a file of each function anew."""
    kept: dict[str, dict[str, Payload]] = {}
    for function, payload in made:
        short = renamed(shortened(payload))
        shapes = kept.setdefault(function, {})
        key = "\n".join(sorted(shape(short)))
        shapes[key] = min(shapes.get(key, short), short, key=lambda one: (len(json.dumps(one)), json.dumps(one)))
    for function, shapes in kept.items():
        text = json.dumps([shapes[key] for key in sorted(shapes)], indent=1, sort_keys=True)
        (folder / f"{function}.json").write_text(text + "\n")


def shape(value: Any, path: str = "$") -> set[str]:
    """The paths of all keys in a value; the places of a list are one path, and so is each kind of a scalar."""
    if isinstance(value, Mapping):
        return {path}.union(*(shape(inner, f"{path}.{key}") for key, inner in value.items()))
    if isinstance(value, list):
        return {path}.union(*(shape(inner, f"{path}[]") for inner in value))
    return {f"{path}: {type(value).__name__}"}


def shortened(value: Any) -> Any:
    """Of each list one element per shape."""
    if isinstance(value, Mapping):
        return {key: shortened(inner) for key, inner in value.items()}
    if isinstance(value, list):
        by_shape = {frozenset(shape(inner)): inner for inner in map(shortened, reversed(value))}
        return [*reversed(by_shape.values())]
    return value


def renamed(payload: Payload) -> Payload:
    """Without what differs from run to run: times become full hours, and names and ids numbers of their length, in
    the order of their places."""
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        place = numbers.setdefault(found[0], len(numbers) + 1)
        form = re.sub(r"^\d{17,19}$", "0" * 18, found[0])
        digits = iter(f"1{place:0{len(form.replace('-', '')) - 1}d}")
        return "".join(char if char == "-" else next(digits) for char in form)

    result: Payload = json.loads(TIME.sub(r"\1:00:00", NAME.sub(number, json.dumps(payload, sort_keys=True))))
    return result
