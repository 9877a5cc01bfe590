"""The inputs of the machines are in docs/ as their definitions and classes have them, field by field."""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from millrace.messages.ingest import DropGroup, DropObject
from millrace.messages.monitor import GIVE_UP_WINDOWS
from millrace.messages.release import PackageToRelease, ReleaseRollout, Rollback
from millrace.messages.retrain import RetrainingRequest
from millrace.messages.train import ExternalFiles
from millrace.names import EVERY_MACHINE
from tests.documentation import DOCS as PAGE
from tests.documentation import ROOT
from tests.infra.machines.contexts import DEFINITIONS, context_of

CODE = re.compile(r"`([^`]+)`")
INSIDE: dict[tuple[str, str], tuple[type[BaseModel], ...]] = {
    ("retrain", "detail"): (RetrainingRequest,),
    ("train", "external_model"): (ExternalFiles,),
    ("score", "detail"): (DropObject,),
    ("release", "detail"): (PackageToRelease,),
    ("release", "rollback"): (Rollback,),
    ("release", "rollout"): (ReleaseRollout,),
    ("ingest", "detail"): (DropGroup, DropObject),
}
"""What a field that is an object holds."""


def states_of(machine: str) -> dict[str, Any]:
    states: dict[str, Any] = DEFINITIONS[machine](context_of())["States"]
    return states


def read_first(machine: str) -> type[BaseModel]:
    """What the machine's first function reads of the input: the class of the state in its `@handles(…)`."""
    invoked = next(state for state in states_of(machine).values() if "lambda:invoke" in str(state))
    function = invoked["Parameters"]["FunctionName"].rpartition("-")[2]
    source = (ROOT / "functions" / function / "handler.py").read_text()
    (name,) = re.findall(r"^@handles\((?:StepInput\[)?(\w+)\]?\)$", source, re.M)
    imports = [node for node in ast.parse(source).body if isinstance(node, ast.ImportFrom)]
    module = next(node.module for node in imports if name in {alias.name for alias in node.names})
    found: Any = getattr(import_module(str(module)), name)
    state = found.model_fields.get("state")
    return state.annotation if state else found


def given(state: type[BaseModel]) -> set[str]:
    """The fields of a state that an input has: not those that hold the answers of functions."""
    fields = state.model_fields.items()
    return {name for name, field in fields if "StepResult[" not in str(field.annotation)}


def defaults(machine: str) -> dict[str, Any]:
    """What holds when the input says nothing; empty for a machine that asks for everything."""
    state = states_of(machine).get("Defaults", {})
    return {name.removesuffix(".$"): value for name, value in state.get("Parameters", {}).get("defaults", {}).items()}


def inputs(page: str) -> dict[tuple[str, str], tuple[str, str]]:
    """By machine and field: what it means, and what holds when it is left out."""
    lines = page[page.index("| machine | field |") :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {(CODE.findall(machine)[0], CODE.findall(field)[0]): (means, left) for machine, field, means, left in rows}


def wrong_inputs(page: str) -> set[tuple[str, str]]:
    """Machine and field of what the page says and the definitions do not, or the other way."""
    told = inputs(page)
    real = {
        (machine, field) for machine in DEFINITIONS for field in given(read_first(machine)) | set(defaults(machine))
    }
    return set(told) ^ real


def wrong_defaults(page: str) -> list[str]:
    """Rows whose last column is not what the definition has."""
    found = []
    for (machine, field), (_, left) in inputs(page).items():
        held = defaults(machine).get(field)
        word = {None: None, "$$.Execution.StartTime": "the start of the execution"}.get(json.dumps(held).strip('"'))
        expected = word or (f"`{held}`" if isinstance(held, str) else "`{}`" if held == {} else None)
        if held is None and machine == "ingest":
            expected = "refused"
        if expected and not left.startswith(expected):
            found.append(f"{machine} {field}: {left}, expected {expected}")
    return found


def test_every_machine_has_its_rows() -> None:
    assert set(DEFINITIONS) == set(EVERY_MACHINE) == {machine for machine, _ in inputs(PAGE)}


def test_the_inputs_are_those_of_the_definitions() -> None:
    assert wrong_inputs(PAGE) == set()
    assert wrong_defaults(PAGE) == []


def test_a_field_that_is_an_object_is_told_whole() -> None:
    told = inputs(PAGE)
    for (machine, field), models in INSIDE.items():
        named = {info.alias or name for model in models for name, info in model.model_fields.items()}
        assert named <= set(CODE.findall(told[machine, field][0])), (machine, field)


def test_a_page_that_says_too_much_or_too_little_is_found() -> None:
    """The negative controls."""
    row = next(line for line in PAGE.splitlines() if line.startswith("| `score` | `detail`"))
    assert wrong_inputs(PAGE.replace(row + "\n", "")) == {("score", "detail")}
    assert wrong_inputs(PAGE.replace(row, row.replace("`detail`", "`drop`"))) == {
        ("score", "detail"),
        ("score", "drop"),
    }
    moments = PAGE.count("| the start of the execution |")
    assert len(wrong_defaults(PAGE.replace("| the start of the execution |", "| now |"))) == moments > 1
    assert wrong_defaults(PAGE.replace("| `train` | `detail` | what the cause told | `{}` |",
                                       "| `train` | `detail` | what the cause told | refused |"))  # fmt: skip


def test_the_page_says_when_labels_are_given_up() -> None:
    assert f"for {GIVE_UP_WINDOWS} windows after its end at most: {7 * GIVE_UP_WINDOWS} days" in PAGE
