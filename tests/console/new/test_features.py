"""Times become calendars, series become histories, and what training would stop at is said before."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from millrace.console.new.columns import Profile, observe
from millrace.console.new.remarks import notes_of
from millrace.console.new.times import find_series, without_rows
from millrace.console.new.writing import write
from millrace.contract.load import load_contract
from millrace.contract.row import check_row_with_past
from millrace.features import catalogue
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests.console.new.conftest import Row, proposed

Writer = Callable[..., Path]
FIRST = datetime.fromisoformat("2020-01-01")


def times(hours: list[float]) -> Profile:
    cells = pa.chunked_array([pa.array([FIRST + timedelta(hours=hour) for hour in hours], pa.timestamp("us"))])
    found = observe("at", cells, typed_text=False)
    assert isinstance(found, Profile)
    return found


@pytest.mark.parametrize(
    ("hours", "every"),
    [
        ([float(at) for at in range(300)], 1.0),
        ([at / 2 for at in range(300) if at % 50], 0.5),
        ([24.0 * at for at in range(300)], 24.0),
        (sorted(np.random.default_rng(0).uniform(0, 300, 300).tolist()), None),
    ],
)
def test_rows_at_equal_distances_are_a_series(hours: list[float], every: float | None) -> None:
    table = pa.table({"at": times(hours).cells})
    found = find_series(table, key=("at",), event_time="at")
    assert (found.every_hours if found else None) == every
    if every == 0.5:
        assert found is not None
        assert without_rows(found, refused=0) == ["5 steps of 30 minutes have no row, the longest stretch 1"]
        taken = "5 steps of 30 minutes have no row that the contract takes, the longest stretch 1"
        assert without_rows(found, refused=5) == [taken]


def test_a_label_ahead_has_a_history_of_the_numbers_and_of_itself(
    market: list[Row], as_csv: Writer, tmp_path: Path
) -> None:
    path = as_csv(market)
    found = proposed(path, label="demand", horizon_hours=24.0)
    assert found.prediction.derived[-1] == {
        "name": "history",
        "history": ["price", "demand"],
        "hours": 24.0,
        "every_hours": 0.5,
    }
    assert found.prediction.key == ("Half hour",)
    here = write(found, tmp_path / "workloads", tmp_path / "drops", pieces=2, force=False)
    workload = load_workload(here.folder)
    contract = check_fit(workload, load_contract(here.folder))
    assert (workload.training.family, contract.label.is_input) == ("gru", True)
    assert workload.gates.baseline.label_age_hours >= 24
    rows = [json.loads(line) for line in here.to_predict.read_text().splitlines()]
    assert [row["Half hour"] for row in rows] == [row["Half hour"].replace(" ", "T") for row in market[-5:]]
    scoring = contract.table("scoring")
    histories = catalogue.histories(catalogue.declare(workload.prediction.features, scoring))
    assert [check_row_with_past(row, scoring, histories) for row in rows] == [()] * 5
    assert here.predicted == (
        "the last 5 rows, each with the past that its history reads (`history`), as a request holds them"
    )


def test_rows_to_predict_are_of_those_with_a_past(as_csv: Writer, tmp_path: Path) -> None:
    """The last rows are of a site that is new, and of which too little is known."""
    draws = np.random.default_rng(0).normal(100, 9, 2000)
    sites = [("old", 0), ("new", 1190)]
    path = as_csv(
        [
            {"site": site, "at": (FIRST + timedelta(hours=hour)).isoformat(), "load": round(float(draws[hour]), 2)}
            for site, first in sites
            for hour in range(first, 1200)
        ]
    )
    found = proposed(path, label="load", horizon_hours=2.0)
    here = write(found, tmp_path / "workloads", tmp_path / "drops", pieces=0, force=False)
    rows = [json.loads(line) for line in here.to_predict.read_text().splitlines()]
    assert [row["site"] for row in rows] == ["old"] * 5


def test_rows_in_order_keep_it(market: list[Row], as_csv: Writer) -> None:
    path = as_csv([{name: cell for name, cell in row.items() if name != "Half hour"} for row in market])
    found = proposed(path, is_in_order=True, has_no_key=True)
    order = found.accepted["_line"].to_pylist()
    assert order == sorted(order)
    assert any("the last rows validate and test" in note for note in notes_of(found))
    assert found.prediction.derived == (), "a time that was made up has no calendar"
