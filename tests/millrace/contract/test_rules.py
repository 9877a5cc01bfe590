"""Every rule of the catalogue, on every kind of column that can have it: a request and a drop give the same answer."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from millrace.contract.comparison import SIGNS, read_comparison
from millrace.contract.expression import read_expression
from millrace.contract.kinds import FLOATS, KINDS, NUMBERS, TIMES, Kind, arrow_type, parse_cell, to_base64
from millrace.contract.load import COLUMN_PROPERTIES
from millrace.contract.row import _check, check_row, derived
from millrace.contract.rules.catalogue import RULES
from millrace.contract.rules.pattern import Pattern
from millrace.contract.rules.rule import Rule
from millrace.contract.schema import Column, Table
from millrace.contract.validate import validate
from millrace.errors import WorkloadError
from millrace.files.catalogue import read_drop
from tests.fuzz import examples
from tests.hostile import TEXTS
from tests.millrace.contract.columns import EDGES, declared, ruled


def cases() -> Iterator[Any]:
    """Each rule with each kind of column that it says it is for, as its examples declare it."""
    for rule, number, column in ruled():
        if any(isinstance(check, rule) for check in column.checks):
            yield pytest.param(rule, column, id=f"{rule.__name__}-{column.kind}-{number}")


CASES = list(cases())


def test_each_rule_has_an_example_for_each_of_its_kinds() -> None:
    found = {(case.values[0], case.values[1].kind) for case in CASES}
    assert found == {(rule, kind) for rule in RULES for kind in rule.kinds}


def test_each_custom_property_belongs_to_one_rule() -> None:
    assert len(set(COLUMN_PROPERTIES)) == len(COLUMN_PROPERTIES)
    for rule in RULES:
        used = {each["property"] for properties in rule.examples for each in properties.get("customProperties", ())}
        assert used == set(rule.custom_properties)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_refused_on_columns_of_other_kinds(rule: type[Rule]) -> None:
    for kind in set(KINDS) - set(rule.kinds):
        for properties in rule.examples:
            try:
                column = declared(kind, properties)
            except WorkloadError:
                continue
            assert not any(isinstance(check, rule) for check in column.checks)
            assert not properties, f"{properties} is declared for a {kind} and never checked"


PIECES = st.sampled_from(["2020-01-02", "T", " ", "12", ":", "30", ".5", "Z", "+", "02:00", "-", "W01", "0", "\n"])
VALUES = st.one_of(
    st.none(),
    st.sampled_from([*EDGES, *TEXTS]),
    st.integers(-5, 130),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-300, 300).map(lambda n: n / 10),
    st.text("abc0\n é", max_size=5),
    st.lists(PIECES, max_size=8).map("".join),
    st.binary(max_size=5).map(to_base64),
    st.dates().map(str),
    st.datetimes().map(str),
    st.datetimes(timezones=st.timezones()).map(str),
)
Found = list[tuple[str, str | None, str]]


def of_one(values: list[Any]) -> list[dict[str, Any]]:
    return [{"c": value} for value in values]


def by_request(row: dict[str, Any], table: Table) -> Found:
    return [(one.reason, one.column, one.expected) for one in check_row(row, table)]


def by_drop(rows: list[dict[str, Any]], table: Table, folder: Path) -> list[Found]:
    """What ingestion and validation find in a drop of JSON lines, by line."""
    path = folder / "drop.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found: list[Found] = [[] for _ in rows]
    for part in read_drop(path, table):
        for row in (*part.unparsable, *validate(part.rows, table).refused):
            found[(row.line or 0) - 1] = [(one.reason, one.column, one.expected) for one in row.violations]
    return found


def assert_both_forms_agree(rows: list[dict[str, Any]], table: Table) -> int:
    """How many rows break the contract."""
    with TemporaryDirectory() as folder:
        dropped = by_drop(rows, table, Path(folder))
    for row, of_drop in zip(rows, dropped, strict=True):
        assert by_request(row, table) == of_drop, f"{row!r} in {table}"
    return sum(map(bool, dropped))


@pytest.mark.parametrize(("rule", "column"), CASES)
@settings(max_examples=examples(60), deadline=None)
@given(values=st.lists(VALUES, min_size=1, max_size=8))
@example(values=EDGES)
@example(values=[None])
def test_a_request_and_a_drop_find_the_same(rule: type[Rule], column: Column, values: list[Any]) -> None:
    assert_both_forms_agree(of_one(values), Table(name="t", columns=(column,)))


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("kinds", [*product(NUMBERS, NUMBERS), *((k, k) for k in (*TIMES, "string"))], ids=" ".join)
def test_a_request_and_a_drop_compare_two_cells_alike(kinds: tuple[Kind, Kind], sign: str) -> None:
    columns = tuple(Column(name=name, kind=kind) for name, kind in zip("ab", kinds, strict=True))
    rule = read_comparison(f"a {sign} b", dict(zip("ab", kinds, strict=True)))
    cells = [[None, *(each for each in EDGES if not [*_check(each, column)])] for column in columns]
    rows = [{"a": a, "b": b} for a, b in Random(0).choices([*product(*cells)], k=300)]
    assert 0 < assert_both_forms_agree(rows, Table(name="t", columns=columns, comparisons=(rule,))) < len(rows)


NUMBER_KINDS = st.sampled_from(NUMBERS)
HOSTILE = st.sampled_from([None, 0, -0.0, 1, 0.1, 1e308, -1e308, 5e-324, 2**53 + 1, -(2**63), "x"]) | st.floats(
    -(2.0**127), 2.0**127, width=32
)
PARTS = st.recursive(
    st.sampled_from(["a", "b", "c", "0.1", "2", "1e308"]),
    lambda part: st.one_of(
        st.builds("({} {} {})".format, part, st.sampled_from("+-*/"), part),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max", "fill"]), part, part),
        st.builds("{}({})".format, st.sampled_from(["log", "abs", "-"]), part),
    ),
    max_leaves=12,
)


MOMENTS: dict[str, tuple[Kind, object]] = {
    "a": ("timestamp_utc", "2024-03-01T00:00:00.25Z"),
    "b": ("timestamp_utc", "2024-02-29T01:00:00+02:00"),
    "c": ("date", "2024-03-01"),
    "d": ("date", "2024-02-01"),
    "x": ("float64", 12.5),
    "none": ("int32", None),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "a - b": 25 * 3600 + 0.25,
        "(c - d) * 2": 58,
        "max(-x, 2, abs(-x))": 12.5,
        "min(x, 3 / 2) - 1": 0.5,
        "log(x / 0.01)": math.log(1250),
        "log(-x) + x / (x - x)": None,
        "x + none": None,
        "fill(none, log(-x), min(x, 10))": 10,
        "1 / (x * 1e308 * 1e308)": None,
    }.items(),
)
def test_an_expression_gives_a_number_or_nothing(text: str, expected: float | None) -> None:
    expression = read_expression(text, "float64", {name: kind for name, (kind, _) in MOMENTS.items()})
    typed = {name: pa.array([parse_cell(cell, kind)], arrow_type(kind)) for name, (kind, cell) in MOMENTS.items()}
    found = [expression.of_row({name: cell for name, (_, cell) in MOMENTS.items()})]
    assert found == expression.of_rows(pa.table(typed)).to_pylist()
    assert found == [expected if expected is None else pytest.approx(expected, rel=1e-15)]


def test_a_logarithm_has_the_same_bits_in_a_table_and_alone() -> None:
    """numpy's and the system's differ from each other in the last bit of some of these."""
    draw, log = Random(0), read_expression("log(x)", "float64", {"x": "float64"})
    cells = [draw.lognormvariate(0, 20) for _ in range(5_000)]
    assert log.of_rows(pa.table({"x": cells})).to_pylist() == [log.of_row({"x": cell}) for cell in cells]


@settings(max_examples=examples(300), deadline=None)
@given(
    text=PARTS.map("b + {}".format),
    kinds=st.tuples(NUMBER_KINDS, NUMBER_KINDS, NUMBER_KINDS, st.sampled_from(FLOATS)),
    cells=st.lists(st.tuples(HOSTILE, HOSTILE, HOSTILE, st.none() | HOSTILE), min_size=1, max_size=8),
)
def test_a_request_and_a_drop_compute_the_same_bits(text: str, kinds: tuple[Kind, ...], cells: list[Any]) -> None:
    columns = [Column(name=name, kind=kind) for name, kind in zip("abc", kinds, strict=False)]
    expression = read_expression(text, kinds[3], dict(zip("abc", kinds, strict=False)))
    table = Table(name="t", columns=(*columns, Column(name="d", kind=kinds[3], derived=expression)))
    rows: list[dict[str, Any]] = [dict(zip("abcd", row, strict=True)) for row in cells]
    broken = assert_both_forms_agree(rows, table)
    with TemporaryDirectory() as folder:
        path = Path(folder, "drop.jsonl")
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found = [validate(part.rows, table).accepted["d"].to_pylist() for part in read_drop(path, table)]
    made = [derived(row, table)["d"] for row in rows if not check_row(row, table)]
    assert [repr(one) for part in found for one in part] == [repr(one) for one in made]
    assert len(made) == len(rows) - broken


@pytest.mark.parametrize(("rule", "column"), CASES)
def test_the_values_reach_both_sides_of_the_rule(rule: type[Rule], column: Column) -> None:
    """A comparison on cells that are all good, or all bad, would prove nothing."""
    table = Table(name="t", columns=(column,))
    found = [by_request(row, table) for row in of_one([None, *EDGES])]
    how = f"add to `cells` of {rule.__name__} a value of a {column.kind} that"
    assert any(rule.reason in [reason for reason, _, _ in one] for one in found), f"{how} breaks {column.rules}"
    assert any(not one for one in found[1:]), f"{how} keeps {column.rules}"


WRONG: list[tuple[Kind, dict[str, Any]]] = [
    ("int64", {"minimum": 0.5}),
    ("int64", {"maximum": 2**63}),
    ("float64", {"minimum": "a"}),
    ("float64", {"minimum": float("inf")}),
    ("float64", {"maximum": 10**400}),
    ("date", {"minimum": "2020-W01-1"}),
    ("timestamp", {"minimum": "2020-01-01T00:00:00Z"}),
    ("timestamp_utc", {"minimum": "2020-01-01T00:00:00"}),
    ("int64", {"multipleOf": 0.5}),
    ("float64", {"multipleOf": -1}),
    ("float64", {"multipleOf": 10**400}),
    ("string", {"minLength": -1}),
    ("string", {"pattern": 5}),
    ("string", {"format": "email"}),
]


@pytest.mark.parametrize(("kind", "options"), WRONG)
def test_a_rule_that_cannot_be_checked_is_refused(kind: Kind, options: dict[str, Any]) -> None:
    [word] = options
    with pytest.raises(WorkloadError, match=rf"schema\.rows, column `\w+`, ({word}|logicalTypeOptions): expected"):
        declared(kind, {"logicalTypeOptions": options})


def test_a_word_that_is_declared_twice_is_refused() -> None:
    quality = [{"metric": "invalidValues", "arguments": {"validValues": ["a"]}, "mustBe": 0}]
    with pytest.raises(WorkloadError, match="validValues once"):
        declared("string", {"quality": quality, "enum": ["b"]})


@pytest.mark.parametrize("expression", ["(?=a)b", r"a\Z", r"(a)\1", "a{1,2000}", "("])
def test_a_pattern_that_only_python_knows_is_no_rule(expression: str) -> None:
    with pytest.raises(ValueError, match="a regular expression of RE2"):
        Pattern(expression).check()


def test_a_pattern_takes_time_linear_in_the_text() -> None:
    """Python's `re` needs hours for this one."""
    column = Column(name="c", kind="string", rules=(Pattern("^(a+)+$"),))
    assert by_request({"c": "a" * 5000 + "b"}, Table(name="t", columns=(column,))) == [("pattern", "c", "^(a+)+$")]


def test_a_number_beyond_float32_is_refused_where_a_model_reads_it() -> None:
    values = [1.0, 1e39, -1e39, float("nan"), 3.4e38, None]
    for is_read, expected in ((True, {1: "a number of float32", 2: "a number of float32"}), (False, {})):
        column = Column(name="x", kind="float64", is_read_by_models=is_read)
        table = Table(name="rows", columns=(column,), keys=())
        rows = pa.table({"x": values, "_line": pa.array(range(len(values)), pa.int64())})
        found = {row.line: row.violations[0].expected for row in validate(rows, table).refused}
        assert found == expected | {3: "a finite number"}
        assert {at for at, value in enumerate(values) if check_row({"x": value}, table)} == set(found)
