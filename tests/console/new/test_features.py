"""Times become calendars, series become histories, and what training would stop at is said before."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from millrace.console.new.writing import write
from millrace.contract.load import load_contract
from millrace.contract.row import check_row_with_past
from millrace.features import catalogue
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests.console.new.conftest import Row, proposed

Writer = Callable[..., Path]
FIRST = datetime.fromisoformat("2020-01-01")


def test_a_label_ahead_has_a_history_of_the_numbers_and_of_itself(
    market: list[Row], as_csv: Writer, tmp_path: Path
) -> None:
    found = proposed(as_csv(market), label="demand", horizon_hours=24.0)
    assert found.prediction.derived[-1] == {
        "name": "history",
        "history": ["price", "demand"],
        "hours": 24.0,
        "every_hours": 0.5,
    }
    assert found.prediction.key == ("Half hour",)
    here = write(found, tmp_path / "workloads", tmp_path / "drops", force=False)
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
    here = write(found, tmp_path / "workloads", tmp_path / "drops", force=False)
    rows = [json.loads(line) for line in here.to_predict.read_text().splitlines()]
    assert [row["site"] for row in rows] == ["old"] * 5
