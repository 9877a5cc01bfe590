"""What a catalogue has is in docs/: each has its row, and no row is of something else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from infra.options import Options
from infra.stacks.catalogue import ROOMS
from millrace.contract.load import COLUMN_PROPERTIES, ROWS_PROPERTIES
from millrace.contract.rules.catalogue import RULES
from millrace.evaluation.gates.catalogue import Gates
from millrace.evaluation.gates.simple import TAKES
from millrace.evaluation.naive.catalogue import NAIVE_RULES
from millrace.features.catalogue import ENCODERS
from millrace.files.catalogue import FORMATS
from millrace.messages.audit import AuditEvent
from millrace.messages.events import EVENTS
from millrace.models.catalogue import FAMILIES
from millrace.monitoring.statistics.catalogue import STATISTICS
from millrace.operations.dead_letters import DEAD_LETTERS
from millrace.operations.notices import NOTICES
from millrace.tasks.catalogue import TASKS
from tests.documentation import DOCS as PAGE
from tests.documentation import section

EVENT_ROW = re.compile(r"^\| `((?!csv)[a-z]+\.[a-z]+)` \| (.+) \|$", re.M)
CODE = re.compile(r"`([^`]+)`")
FIRST_CELL = re.compile(r"^\| (`.+?) \|", re.M)
TABLES: dict[str, tuple[str, Iterable[str]]] = {
    "families": ("Families by their inputs", FAMILIES),
    "encoders": ("Encoders", ENCODERS),
    "naive rules": ("Naive rules", NAIVE_RULES),
    "statistics": ("How a bound is set", STATISTICS),
    "properties": ("Custom properties", {*COLUMN_PROPERTIES, *ROWS_PROPERTIES}),
    "dead letters": ("Dead letters", {*DEAD_LETTERS, "events"}),
    "settings of a stage": ("Settings in cdk.json", {f"stages.<stage>.{name}" for name in Options.model_fields}),
}
"""By what a catalogue has: the title of the section, and the names of its table's first column."""
BESIDE = re.compile(r"^(family|encoder|kind|(tracking|alarm_\w+)\.<stage>)$")
"""Of first cells: a heading that is code, and settings that stand beside the stages."""


def rows(title: str, page: str = PAGE) -> set[str]:
    """All names in the first cells of a section's tables."""
    cells = FIRST_CELL.findall(section(title, page))
    return {name for cell in cells for name in CODE.findall(cell) if not BESIDE.match(name)}


@pytest.mark.parametrize("what", TABLES)
def test_a_table_has_a_row_for_each_and_for_nothing_else(what: str) -> None:
    title, names = TABLES[what]
    assert rows(title) == set(names)


def test_a_row_too_much_or_too_little_is_found() -> None:
    """The negative control."""
    row = next(line for line in section("Encoders").splitlines() if line.startswith("| `tokens`"))
    assert rows("Encoders", PAGE.replace(row + "\n", "")) == set(ENCODERS) - {"tokens"}
    assert rows("Encoders", PAGE.replace(row, row.replace("`tokens`", "`pieces`"))) >= {"pieces"}


def test_what_stands_in_sentences_is_named_there() -> None:
    assert set(TASKS) <= set(CODE.findall(section("Other kinds of answers").replace("task: ", "")))
    assert set(TASKS) <= rows("Fields of an answer")
    formats = re.search(
        r"^- The format is found by the content, not by the name: (.*)\.$", section("Drops and feeds"), re.M
    )
    assert formats
    assert all(name in formats[1] for kind in FORMATS.values() for name in kind.names)
    assert set(TAKES) <= set(re.findall(r"\w+", section("Gates that you may declare")))
    assert set(NOTICES) <= set(re.findall(r"[\w-]+", section("Notifications")))
    assert set(AuditEvent) <= set(re.findall(r"`([\w.]+)`", section("Read the audit")))
    number = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")[len(ROOMS) - 1]
    assert f"| {number} stacks of each workload |" in section("What the templates hold")


def test_the_example_of_each_gate_can_be_declared() -> None:
    found = re.findall(r"^\| `(\w+)` \| (.+?) \|", section("Gates that you may declare"), re.M)
    examples = [(gate, example) for gate, cell in found for example in CODE.findall(cell)]
    assert {gate for gate, _ in examples} == {gate for gate, _ in found}
    for gate, example in examples:
        TypeAdapter(Gates.model_fields[gate].annotation).validate_python(yaml.safe_load(example), strict=False)


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
