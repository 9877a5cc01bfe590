"""`millrace state`: try what one state of a machine does with an input and with the end of its call."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli import completion
from console.cli.environment import find
from console.cli.options import Build, Json, Stage, Workload
from console.cli.printing import show_json
from millrace.errors import RunError
from millrace.names import EVERY_MACHINE

if TYPE_CHECKING:
    from console.queries.tried_state import Handler, TriedState

Machine = Annotated[
    str,
    typer.Argument(metavar="MACHINE", autocompletion=completion.deployed_machines, help=", ".join(EVERY_MACHINE) + "."),
]
State = Annotated[str, typer.Argument(metavar="STATE", help="As the definition names it, such as 'Smoke test'.")]
Input = Annotated[str, typer.Option("--input", metavar="JSON", help="The state's input, or a file of it.")]
Mock = Annotated[
    str,
    typer.Option(
        "--mock",
        metavar="RESULT|ERROR",
        help="How a task's call ends, or all iterations of a Map: result=JSON, or error=NAME or error=NAME:CAUSE.",
    ),
]
Retries = Annotated[int, typer.Option("--retries", min=0, help="So many retries of the error are over already.")]


def state(
    machine: Machine,
    state: State,
    workload: Workload,
    stage: Stage,
    build: Build,
    json: Json,
    given: Input = "{}",
    mock: Mock = "",
    retries: Retries = 0,
) -> None:
    """Try one state of a deployed machine with an input: its next state, its output, what retries or catches an error.

    Example: millrace state release 'Tidy release' --mock error=KeyError. Nothing is called and nothing runs: a task
    ends as --mock says, and so does a Map, whose iterations are shown and do not run."""
    from console.queries.tried_state import try_state

    environment, names = find(stage, build, workload)
    states = environment.client("stepfunctions")
    tried = try_state(states, names, machine, state, given=_read(given), mock=_mock(mock), retries=retries)
    if json:
        show_json(asdict(tried))
    else:
        for line in _lines(state, tried, retries):
            print(line)


def _read(given: str) -> Any:
    """The input: JSON, or the content of a file of JSON. Raises RunError if it is no JSON."""
    # A text that begins as JSON does is never looked up as a file.
    text = given if given.lstrip().startswith(("{", "[", '"')) or not Path(given).is_file() else Path(given).read_text()
    return _parsed("--input", text)


def _mock(words: str) -> dict[str, Any] | None:
    """The end of the call, as TestState takes it: `{"errorOutput": {"error": "KeyError", "cause": ""}}`; None for "".

    Raises RunError for other words than `result=…` and `error=…`."""
    kind, _, value = words.partition("=")
    if not words:
        return None
    if kind == "result":
        _parsed("--mock result", value)
        return {"result": value}
    if kind == "error" and value:
        error, _, cause = value.partition(":")
        return {"errorOutput": {"error": error, "cause": cause}}
    raise RunError(f"--mock: expected result=JSON, error=NAME or error=NAME:CAUSE, got {words!r}")


def _parsed(option: str, text: str) -> Any:
    from json import JSONDecodeError, loads

    try:
        return loads(text)
    except JSONDecodeError as error:
        raise RunError(f"{option}: expected JSON, got {text!r}: {error}") from None


def _lines(state: str, tried: TriedState, retries: int) -> list[str]:
    from json import dumps

    said = ": ".join(one for one in (tried.error, tried.cause) if one)
    end = "the end" if tried.status == "SUCCEEDED" else "none"
    # A line for each thing that TestState says, and none for what it leaves out.
    return [
        f"{state}: {tried.status}" + (f", {said}" if said else ""),
        *([f"reads   {', '.join(tried.reads)}: --input gives them"] if _lacks_input(tried) else []),
        *([_handled(tried.handler, retries)] if tried.handler else []),
        *([f"call    {dumps(tried.parameters)}"] if tried.parameters is not None else []),
        *(f"item    {dumps(item)}" for item in tried.items or ()),
        *([f"output  {dumps(tried.output)}"] if tried.output is not None else []),
        f"next    {'this state again' if tried.status == 'RETRIABLE' else tried.next_state or end}",
    ]


def _lacks_input(tried: TriedState) -> bool:
    """Whether the state failed since its input lacks what it reads. Only the words of TestState's error say so."""
    return tried.error == "States.Runtime" and "could not be found in the input" in (tried.cause or "")


def _handled(handler: Handler, retries: int) -> str:
    place = f"{handler.kind} {handler.index + 1} of {handler.of} ({', '.join(handler.errors)})"
    if handler.kind == "Catch":
        return f"caught by {place}"
    return f"retried by {place}: {retries + 1} of {handler.attempts}, after {handler.wait_s} s at most"
