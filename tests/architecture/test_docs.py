"""What the pages of docs/ say is so: the commands, their options, and the inputs of the machines, field by field."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from console.cli.app import app
from infra.context import Context
from infra.settings import settings_for
from millrace.contract.rules.catalogue import RULES
from millrace.evaluation.gates.catalogue import Gates
from millrace.evaluation.naive.catalogue import NAIVE_RULES
from millrace.messages.events import EVENTS
from millrace.messages.ingest import DropGroup, DropObject
from millrace.messages.monitor import GIVE_UP_WINDOWS
from millrace.messages.release import PackageToRelease, ReleaseRollout, Rollback
from millrace.messages.retrain import RetrainingRequest
from millrace.messages.train import ExternalFiles
from millrace.names import EVERY_MACHINE
from millrace.workload.load import load_workload
from tests.documentation import DOCS as PAGE
from tests.documentation import PAGES, README, ROOT, section

EVENT_ROW = re.compile(r"^\| `((?!csv)[a-z]+\.[a-z]+)` \| (.+) \|$", re.M)
FOLDER = ROOT / "workloads" / "electricity"
COMMAND_ROW = re.compile(r"^\| `millrace (\w+)(.*) \|$", re.M)
COMMON_ROW = re.compile(r"^\| `(--\w+)` \|.*\|(.*)\|$", re.M)
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z0-9-]*)")
CODE = re.compile(r"`([^`]+)`")
MACHINES = [
    path.stem for path in sorted((ROOT / "infra" / "machines").glob("*.py")) if "def definition(" in path.read_text()
]
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
BY_LATER_STATES = {"ingestion"}
"""Of the state that a machine hands on: not of its input."""


def definition(machine: str) -> dict[str, Any]:
    context = Context(
        settings=settings_for("prod", account="123456789012", region="eu-west-1"),
        workload=load_workload(FOLDER),
        folder=FOLDER,
        key_arn="arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c-0000-4000-8000-000000000000",
        subnet_ids=("subnet-0a1b2c3d",),
        security_group_id="sg-0a1b2c3d",
        component="training",
        images={image: f"registry/{image}:local" for image in ("training", "processing", "inference")},
    )
    found: dict[str, Any] = import_module(f"infra.machines.{machine}").definition(context)
    return found


def read_first(machine: str) -> type[BaseModel]:
    """What the machine's first function reads of the input: the class of the state in its `@handles(…)`."""
    invoked = next(state for state in definition(machine)["States"].values() if "lambda:invoke" in str(state))
    function = invoked["Parameters"]["FunctionName"].rpartition("-")[2]
    source = (ROOT / "functions" / function / "handler.py").read_text()
    (name,) = re.findall(r"^@handles\((?:StepInput\[)?(\w+)\]?\)$", source, re.M)
    imports = [node for node in ast.parse(source).body if isinstance(node, ast.ImportFrom)]
    module = next(node.module for node in imports if name in {alias.name for alias in node.names})
    found: Any = getattr(import_module(str(module)), name)
    state = found.model_fields.get("state")
    return state.annotation if state else found


def defaults(machine: str) -> dict[str, Any]:
    """What holds when the input says nothing; empty for a machine that asks for everything."""
    state = definition(machine)["States"].get("Defaults", {})
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
        (machine, field)
        for machine in MACHINES
        for field in set(read_first(machine).model_fields) - BY_LATER_STATES | set(defaults(machine))
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
    assert set(MACHINES) == set(EVERY_MACHINE) == {machine for machine, _ in inputs(PAGE)}


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


def options_of(command: Any) -> set[str]:
    """Of a command, or of all that stand behind it (`millrace audit verify`)."""
    commands = [command, *getattr(command, "commands", {}).values()]
    return {option for one in commands for parameter in one.params for option in parameter.opts}


def unknown_calls(page: str) -> list[str]:
    """Commands and options of `millrace` on the page that there are not."""
    commands = typer.main.get_group(app).commands
    found = []
    for line in re.findall(r"(?:^\$ |`)(millrace [^`\n]+)", page, re.M):
        words = re.sub(r"\s+#.*$", "", line).split()[1:]
        if not words or words[0].startswith("-"):
            continue
        if words[0] not in commands:
            found.append(line)
            continue
        known = options_of(commands[words[0]])
        found += [f"{line}: {word}" for word in words if word.startswith("--") and word not in known]
    return found


def test_each_command_on_the_page_is_there() -> None:
    assert unknown_calls(PAGE) == []
    assert unknown_calls("`millrace drip FILE`") == ["millrace drip FILE"]
    assert unknown_calls("$ millrace drop FILE --food x") == ["millrace drop FILE --food x: --food"]


TYPED = re.compile(r"^(?:\$ )?(millrace [a-z][^`\n]*)|`(millrace [a-z][^`\n]*)", re.M)
NAME = re.compile(r"millrace \w+")


def lines_of(page: str, *, all_typed: bool = False) -> list[str]:
    """Command lines of a page. A name alone within a sentence is none, unless all that the page names is typed."""
    found = [(typed, typed or told) for typed, told in TYPED.findall(page)]
    return [re.sub(r"\s+#.*$", "", line) for typed, line in found if typed or all_typed or not NAME.fullmatch(line)]


def texts(found: Any) -> list[str]:
    """Every text of a document."""
    if isinstance(found, str):
        return [found]
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return [text for one in inner for text in texts(one)]


def incomplete_calls(lines: list[str]) -> list[str]:
    """Command lines without an option that their command asks for."""
    commands, found = typer.main.get_group(app).commands, []
    for line in lines:
        _, name, *words = line.split()
        given = {word.partition("=")[0] for word in words}
        needed = [one for one in getattr(commands.get(name), "params", ()) if one.required]
        found += [f"{line}: {one.opts[0]}" for one in needed if one.opts[0][0] == "-" and not given & {*one.opts}]
    return found


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_each_command_line_has_the_options_that_are_asked_for(page: str) -> None:
    """Of the runbooks also the commands within a sentence: a person types them in a hurry."""
    text = PAGES.get(page, README)
    assert incomplete_calls(lines_of(text, all_typed=page == "docs/runbooks.md")) == []


def test_so_has_each_that_a_machine_tells() -> None:
    told = [text for machine in MACHINES for text in texts(definition(machine)) if "millrace " in text]
    lines = [line for text in told for line in re.findall(r"millrace [a-z]+ .*", text)]
    assert any(line.startswith("millrace rollback --restore ") for line in lines)
    assert incomplete_calls(lines) == []


def test_a_command_line_without_such_an_option_is_found() -> None:
    """The negative control."""
    page = "$ millrace rollback\nmillrace drop x.csv  # --feed\n`millrace rollback` and `millrace rollback --to 3`"
    wrong = [*lines_of(page), "millrace new mine --from=x"]
    assert incomplete_calls(wrong) == [
        "millrace rollback: --reason",
        "millrace drop x.csv: --feed",
        "millrace rollback --to 3: --reason",
    ]
    assert incomplete_calls(lines_of("`millrace rollback`", all_typed=True)) == ["millrace rollback: --reason"]


def options() -> dict[str, set[str]]:
    """By command, as the app has them."""
    commands = typer.main.get_group(app).commands
    return {
        name: {option for option in options_of(command) if option.startswith("--")}
        for name, command in commands.items()
    }


def wrong_commands(page: str) -> set[tuple[str, str]]:
    """Command and option of what the page says and the app has not, or the other way; "" for a row."""
    real, told = options(), {name: set(OPTION.findall(row)) for name, row in COMMAND_ROW.findall(page)}
    common = {option: set(CODE.findall(without)) for option, without in COMMON_ROW.findall(page)}
    shared = {(name, option) for option, without in common.items() for name in real.keys() - without}
    said = shared | {(name, option) for name, found in told.items() for option in found}
    return {(name, "") for name in told.keys() ^ real.keys()} | (
        said ^ {(name, option) for name, found in real.items() for option in found}
    )


def test_every_command_has_its_row_and_its_options() -> None:
    assert wrong_commands(PAGE) == set()


def test_a_row_that_says_too_much_or_too_little_is_found() -> None:
    """The negative controls."""
    row = next(line for line in PAGE.splitlines() if line.startswith("| `millrace rollback"))
    assert ("rollback", "") in wrong_commands(PAGE.replace(row + "\n", ""))
    assert wrong_commands(PAGE.replace(row, row.replace("`--wait`", ""))) == {("rollback", "--wait")}
    assert wrong_commands(PAGE.replace(row, row.replace("`--wait`", "`--wait`, `--now`"))) == {("rollback", "--now")}
    assert wrong_commands(PAGE.replace("`bom`, `demo`, `down`, `report` |", "`bom`, `demo`, `down` |")) == {
        ("report", "--json")
    }


def waiting(page: str) -> set[str]:
    """The commands that are said to take `--wait`."""
    (sentence,) = re.findall(r"^With `--wait` .*; (.+?) take it\.", page, re.M)
    return set(CODE.findall(sentence))


def test_the_page_lists_the_commands_that_wait() -> None:
    assert waiting(PAGE) == {name for name, found in options().items() if "--wait" in found}
    assert waiting(PAGE.replace("`tune` and `experiment` take it", "`tune` take it")) < waiting(PAGE)


def unnamed_rules(page: str) -> set[str]:
    """What declares a rule of a contract, and reasons of rules, that the page's section does not have."""
    text = section("Rules of a contract", page)
    words = {word for rule in RULES for example in rule.examples for word in declaring(example)}
    reasons = {rule.reason.value for rule in RULES}
    return {word for word in words | reasons if not re.search(rf"\b{word}\b", text)}


def declaring(example: Mapping[str, Any]) -> Iterator[str]:
    """`multipleOf` of `{"logicalTypeOptions": {"multipleOf": 3}}`."""
    for key, value in example.items():
        if key == "logicalTypeOptions":
            yield from value
        elif key == "quality":
            yield from (word for metric in value for word in (metric["metric"], *metric.get("arguments", ())))
        elif key == "customProperties":
            yield from (each["property"] for each in value)
        else:
            yield key


def test_the_page_has_every_rule_of_a_contract() -> None:
    assert unnamed_rules(PAGE) == set()
    assert unnamed_rules(PAGE.replace("multipleOf", "multiple")) == {"multipleOf"}
    assert unnamed_rules(PAGE.replace("| `not_finite` |", "| |")) == {"not_finite"}


def test_the_reasons_stand_in_the_order_in_which_a_cell_is_judged() -> None:
    text = section("Rules of a contract")
    assert re.findall(r"^\|.*\| `(\w+)` \|$", text, re.M) == [rule.reason.value for rule in RULES]


def test_the_page_says_when_labels_are_given_up() -> None:
    assert f"for {GIVE_UP_WINDOWS} windows after its end at most: {7 * GIVE_UP_WINDOWS} days" in PAGE


@pytest.mark.parametrize(
    ("typed", "position", "told"),
    [("millrace retr", "1", {"retrain"}), ("millrace runs --m", "2", {"--machine"})],
)
def test_the_shell_completes_commands_and_options(typed: str, position: str, told: set[str]) -> None:
    environment = {**os.environ, "_MILLRACE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": position}
    program = "import sys; sys.argv[0] = 'millrace'; from console.cli.app import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == told


def test_the_page_has_every_gate_that_may_be_left_out_and_every_naive_rule() -> None:
    gates, _, rules = section("Gates").partition("\n### Naive rules\n")
    row = re.compile(r"^\| `(\w+)` \|", re.M)
    wanted = (name for name, field in Gates.model_fields.items() if field.default is None)
    assert sorted(row.findall(gates)) == sorted(wanted)
    assert row.findall(rules) == ["kind", *NAIVE_RULES]


def test_the_page_has_every_event_and_its_fields() -> None:
    rows = dict(EVENT_ROW.findall(PAGE))
    assert rows.keys() == EVENTS.keys()
    for name, text in rows.items():
        assert set(CODE.findall(text)) <= EVENTS[name].model_fields.keys(), name
