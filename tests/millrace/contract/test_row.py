"""What a request's past must be: rows of the contract that reach back far enough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from millrace.contract.row import as_declared, check_row, check_row_with_past
from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Table
from millrace.contract.time_format import TimeFormat
from millrace.decisions.road import Admitted, check_rows, warnings
from millrace.errors import RefusedError
from millrace.features import catalogue
from millrace.functions.prediction.request import body
from millrace.workload.declaration import Feature

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
