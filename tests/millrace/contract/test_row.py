"""What a request's past must be: rows of the contract that reach back far enough."""

# ruff: noqa: DTZ001
from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.contract.deduplicate import SeenKeys, _HashTable
from millrace.contract.number_format import read_number_format
from millrace.contract.row import as_declared, check_row, check_row_with_past
from millrace.contract.rules.range import Range
from millrace.contract.schema import LINE, Column, Table, parsed_schema
from millrace.contract.time_format import TimeFormat
from millrace.contract.validate import Validator
from millrace.decisions.road import Admitted, check_rows, warnings
from millrace.errors import RefusedError
from millrace.features import catalogue
from millrace.functions.prediction.request import body
from millrace.workload.declaration import Feature
from tests.fuzz import examples
from tests.millrace.files.conftest import taken

TABLE = Table(
    name="rows",
    columns=(
        Column(name="at", kind="timestamp", required=True),
        Column(name="load", kind="float64", rules=(Range(minimum=0),)),
        Column(name="sky", kind="string", required=True),
    ),
)
FEATURE = Feature(name="past", history=("load",), hours=3).model_copy(update={"event_time": "at"})
HISTORIES = catalogue.histories(catalogue.declare([FEATURE, Feature(name="sky")], TABLE))
GOOD = [{"at": f"2024-01-01T0{hour}:00:00", "load": 1.5} for hour in (1, 2)]


def row(past: Any) -> dict[str, Any]:
    return {"at": "2024-01-01T03:00:00", "load": 2.0, "sky": "grey", "past": past}


@pytest.mark.parametrize(
    ("past", "reason", "column"),
    [
        (None, "type", "past"),
        ("x", "type", "past"),
        ([1], "type", "past"),
        (GOOD * 25, "type", "past"),
        ([GOOD[0], {"at": "2024-01-01T02:00:00", "load": -1}], "range", "past[1].load"),
        ([{"load": 1}], "required", "past[0].at"),
        ([{"at": "soon", "load": 1}], "type", "past[0].at"),
        ([GOOD[0] | {"sky": "grey"}], "unknown_field", "past[0].sky"),
        ([], "history", "past"),
        (GOOD[1:], "history", "past"),
    ],
)
def test_a_past_that_breaks_a_rule_rejects_its_row(past: Any, reason: str, column: str) -> None:
    _, [rejected] = check_rows([row(past)], TABLE, HISTORIES)
    assert (rejected.reason, rejected.column) == (reason, column)


def test_of_a_pasts_rows_at_one_time_the_first_counts_and_the_others_are_told() -> None:
    repeat = {"at": "2024-01-01 01:00", "load": 9.0}
    admitted, rejected = check_rows([row([*GOOD, repeat])], TABLE, HISTORIES)
    assert not rejected
    [warning] = warnings(admitted, TABLE, HISTORIES)
    assert (warning["reason"], warning["column"]) == ("duplicate_key", "past[2].at")
    [history] = HISTORIES
    np.testing.assert_array_equal(history.encode_one(admitted[0].cells), history.encode_one(row(GOOD)))
    assert not warnings([Admitted(number=0, cells=row(GOOD))], TABLE, HISTORIES)


def test_a_row_is_judged_before_its_past_and_a_past_is_unknown_without_a_history() -> None:
    [violation] = check_row_with_past(row([]) | {"load": -1}, TABLE, HISTORIES)
    assert violation.column == "load"
    [violation] = check_row_with_past(row(GOOD), TABLE, ())
    assert (violation.reason, violation.column) == ("unknown_field", "past")


IN_FILES = Table(
    name="rows",
    columns=(
        Column(name="row_id", kind="string", required=True, generated="row_id"),
        Column(
            name="at", kind="timestamp", required=True, physical_name="Seen At", time_format=TimeFormat("M/d/yyyy H:mm")
        ),
        Column(name="load", kind="float64", missing_words=("NA",)),
        Column(name="sky", kind="string", required=True, missing_words=("NA",)),
    ),
    ignored=("remark",),
)


def test_a_row_may_come_as_the_files_have_it() -> None:
    came = {
        "Seen At": "7/4/2024 13:05",
        "load": "NA",
        "sky": "grey",
        "remark": [1],
        "past": [{"Seen At": "7/3/2024 1:00"}],
    }
    read = as_declared(came, IN_FILES, [replace(HISTORIES[0], name="past")])
    assert read == {"at": "2024-07-04T13:05:00", "load": None, "sky": "grey", "past": [{"at": "2024-07-03T01:00:00"}]}
    plain = {"at": "2024-07-04T13:05:00", "load": 1.5, "sky": "grey"}
    assert as_declared(plain, IN_FILES) == plain


@pytest.mark.parametrize(
    ("changed", "reason", "expected"),
    [
        ({"at": "2/30/2024 1:00"}, "type", "a time written as M/d/yyyy H:mm"),
        ({"at": "07/04/2024 13:05"}, "type", "a time written as M/d/yyyy H:mm"),
        ({"sky": "NA"}, "required", "a value"),
        ({"Seen At": "7/4/2024 13:05", "at": "7/4/2024 13:05"}, "unknown_field", "one of row_id, at, load, sky"),
        ({"load": "n/a"}, "type", "a number"),
    ],
)
def test_what_neither_the_contract_nor_the_files_have_is_refused(
    changed: dict[str, Any], reason: str, expected: str
) -> None:
    row = as_declared({"row_id": "a", "at": "7/4/2024 13:05", "sky": "grey"} | changed, IN_FILES)
    assert [(found.reason, found.expected) for found in check_row(row, IN_FILES)][:1] == [(reason, expected)]


def test_a_field_that_comes_twice_in_a_body_is_refused() -> None:
    with pytest.raises(RefusedError, match="the field 'load' twice"):
        body({"requestContext": {}, "body": '{"rows": [{"load": 1, "load": 2}]}'})


START = datetime(1997, 5, 1)
KINDS: dict[str, tuple[pa.DataType, Any]] = {
    "int64": (pa.int64(), lambda n: (n - 15) * 10**17),
    "int32": (pa.int32(), lambda n: n - 15),
    "timestamp": (pa.timestamp("us"), lambda n: START + timedelta(minutes=n)),
    "timestamp_utc": (pa.timestamp("us", tz="UTC"), lambda n: START + timedelta(minutes=n)),
    "date": (pa.date32(), lambda n: date(1997, 5, 1) + timedelta(days=n)),
    "string": (pa.string(), str),
    "float64": (pa.float64(), float),
}
PARTS = st.lists(st.lists(st.none() | st.integers(0, 30), max_size=12), max_size=6)


def keys_of(kind: str, part: list[int | None]) -> pa.Array:
    arrow, value = KINDS[kind]
    return pa.array([None if n is None else value(n) for n in part], arrow)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=examples(60), deadline=None)
@given(parts=PARTS, refused=st.sets(st.integers(0, 30)))
def test_equal_keys_have_one_number_and_the_line_of_the_row_that_was_accepted(
    kind: str, parts: list[list[int | None]], refused: set[int]
) -> None:
    seen, first, number_of, line = SeenKeys(), {}, {}, 0
    for cells in parts:
        good = np.arange(len(cells)) % 5 != 3
        numbers = seen.number(keys_of(kind, cells), good)
        part = [n if is_good else None for n, is_good in zip(cells, good, strict=True)]
        for n, number in zip(part, numbers.tolist(), strict=True):
            assert number_of.setdefault(n, number) == number
            assert (number < 0) == (n is None)
        assert seen.before(numbers) == [(at, first[n]) for at, n in enumerate(part) if n in first]
        # As the validator does it: of rows with new keys the first of each is accepted, or none.
        new = [at for at, n in enumerate(part) if n is not None and n not in {*first, *refused, *part[:at]}]
        first |= {part[at]: line + at for at in new}
        seen.accept(numbers[new], np.array([line + at for at in new], np.int64))
        line += len(part)
    assert len(set(number_of.values())) == len(number_of)


def test_a_table_of_many_keys_is_that_of_a_dictionary() -> None:
    """More than a block, in parts for which it grows several times, a third of them for the first time."""
    keys = np.random.default_rng(7).permutation(np.arange(150_000) // 3) * 2**33
    table, first = _HashTable(), {}
    found = np.concatenate([table.add(part) for part in np.split(keys, [1, 9, 1000, 90_000])])
    assert found.tolist() == [first.setdefault(key, at) for at, key in enumerate(keys.tolist())]


def test_keys_that_meet_in_one_slot_are_told_apart() -> None:
    """With a factor of 1 all of these keys want the first slot, and the last ones go round the end."""
    table = _HashTable()
    table._factor = np.uint64(1)
    keys = np.concatenate([[-1, -2, -3], np.arange(50)[::-1]])
    assert table.add(keys).tolist() == list(range(53))
    assert table.add(keys[::-1]).tolist() == list(range(53))[::-1]


def test_a_refused_row_keeps_no_key_from_others() -> None:
    """However the rows come in parts: `B,x` is refused for its x, so `B,z` is the first with a B."""
    columns = tuple(Column(name=name, kind="string") for name in ("serial", "mail"))
    table = Table(name="rows", columns=columns, keys=(("serial",), ("mail",)))
    serials, mails = ["A", "B", "B", "C", "B", None, None], ["x", "x", "z", "z", "w", "w", None]
    rows = pa.table({"serial": serials, "mail": mails, LINE: range(2, 9)}, schema=parsed_schema(table))
    for size in (1, 2, 3, 7):
        validator = Validator(table)
        found = [validator.judge(rows.slice(at, size)) for at in range(0, 7, size)]
        accepted = [line for one in found for line in one.accepted[LINE].to_pylist()]
        refused = [(row.line, row.violations[0].column) for one in found for row in one.refused]
        assert accepted == [2, 4, 7, 8], size
        assert refused == [(3, "mail"), (5, "mail"), (6, "serial")], size


PERCENT = {"units": {"%": 1}}
EURO = {"units": {"€": 1, "EUR": 1}, "decimal": ",", "thousands": "."}
DOLLAR = {"units": {"$": 1}, "thousands": ","}
MASS = {"units": {"kg": 1, "g": 0.001}}
SPAN = {"units": {"h": 3600, "min": 60, "m": 60}}
CLOCK = {"clock": "h:mm:ss"}
FORMATS = (PERCENT, EURO, DOLLAR, MASS, SPAN, CLOCK)


@pytest.mark.parametrize(
    ("form", "text", "number"),
    [
        (PERCENT, "12 %", 12),
        (PERCENT, "-3.5%", -3.5),
        (PERCENT, "12", 12),
        (EURO, "1.234,56 €", 1234.56),
        (EURO, "EUR 1234,5", 1234.5),
        (EURO, "12\u00a0€", 12),
        (DOLLAR, "$1,299.00", 1299.0),
        (DOLLAR, "($1,299.00)", -1299.0),
        (DOLLAR, "$-5", -5),
        (MASS, "1 kg 300 g", 1.3),
        (SPAN, "1h 20m", 4800),
        ({"units": {"$": 1, "k": 1000, "M": 1000000}}, "$1.2M", 1200000),
        (CLOCK, "00:45:10", 2710),
        (CLOCK, "-100:00:00.5", -360000.5),
        ({"clock": "m:ss"}, "75:30", 4530),
    ],
)
def test_a_text_is_this_number(form: dict[str, Any], text: str, number: float) -> None:
    found = read_number_format(form).value_of(text)
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (PERCENT, "1,2 %"),
        (PERCENT, "12 kg"),
        (PERCENT, "% 1 %"),
        ({"units": {"$": 1, "k": 1000}}, "$1k 2k"),
        (PERCENT, "nan"),
        (EURO, "1.23 €"),
        (DOLLAR, "$12,34"),
        (SPAN, "1h 20"),
        (SPAN, "1 234 min"),
        (CLOCK, "0:75:00"),
        (CLOCK, "45:10"),
        (PERCENT, f"{'9' * 101} %"),
        (PERCENT, ""),
    ],
)
def test_another_text_is_none(form: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text) or "^$"):
        read_number_format(form).plain(text)


@pytest.mark.parametrize(
    "value",
    [{}, [], {"unit": "kg"}, {"units": {"5": 1}}, {"units": {"-": 1}}, {"units": {"kg": 0}}, {"units": {"kg": True}},
     {"units": ["kg"]}, {"decimal": ",", "thousands": ","}, {"clock": "mm"}, {**CLOCK, **PERCENT}],
)  # fmt: skip
def test_what_is_no_format_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_number_format(value)


CELLS = st.sampled_from(
    ["12 %", "1.234,56 €", "$1,299.00", "5.2 kg", "300 g", "1h 20m", "00:45:10", "12", "-3.5", "x", "NA", "-9 %", "-9"]
) | st.from_regex(r"[-(]?[$€]? ?[0-9]{1,6}([.,][0-9]{1,3})?( ?(%|€|kg|g|h|min))?( [0-9]m)?\)?", fullmatch=True)


@settings(max_examples=examples(150), deadline=None)
@given(
    texts=st.lists(CELLS, min_size=1, max_size=6),
    form=st.sampled_from(FORMATS),
    kind=st.sampled_from(["float64", "float32", "int64"]),
)
def test_files_and_requests_read_the_same_numbers(texts: list[str], form: dict[str, Any], kind: Any) -> None:
    column = Column(name="x", kind=kind, number_format=read_number_format(form), missing_words=("NA", "-9"))
    table = Table(name="rows", columns=(Column(name="k", kind="int64"), column)).with_missing_values()
    found = taken([{"k": at, "x": text} for at, text in enumerate(texts)], table)
    assert [*found.values()] == [found["request"]] * 4
