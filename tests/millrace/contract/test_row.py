"""What a request's past must be: rows of the contract that reach back far enough."""

from __future__ import annotations

from typing import Any

import pytest

from functions.prediction.request import check_rows
from millrace.contract.row import check_row_with_past
from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Table
from millrace.features import catalogue
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


def test_a_good_past_is_admitted_with_its_row() -> None:
    admitted, rejected = check_rows([row(GOOD), row([GOOD[0]])], TABLE, HISTORIES)
    assert ([one.number for one in admitted], rejected) == ([0, 1], [])
    assert admitted[0].cells["past"] == GOOD


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
        ([*GOOD, {"at": "2024-01-01 01:00", "load": 9.0}], "duplicate_key", "past[2].at"),
    ],
)
def test_a_past_that_breaks_a_rule_rejects_its_row(past: Any, reason: str, column: str) -> None:
    _, [rejected] = check_rows([row(past)], TABLE, HISTORIES)
    assert (rejected.reason, rejected.column) == (reason, column)


def test_a_row_is_judged_before_its_past_and_a_past_is_unknown_without_a_history() -> None:
    [violation] = check_row_with_past(row([]) | {"load": -1}, TABLE, HISTORIES)
    assert violation.column == "load"
    [violation] = check_row_with_past(row(GOOD), TABLE, ())
    assert (violation.reason, violation.column) == ("unknown_field", "past")
