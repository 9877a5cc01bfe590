"""A figure that is too good to be true names what gives the answer away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from millrace.console.new.remarks import too_good
from millrace.messages.trial import Tried
from tests.console.new.conftest import proposed, written

ROWS = 960


def figure(who: str, value: float) -> Tried:
    return Tried.model_validate(
        {"who": who, "name": "0" if who == "candidate" else "naive", "measure": "log_loss", "figure": value}
        | {"behind": 0, "deviation": 0, "rows": 100, "epochs": 1, "seconds": 1}
    )


@pytest.mark.parametrize(
    ("column", "said"),
    [("closed_at_desk", "whether closed_at_desk is filled"), ("state", "state alone"), ("", "no column alone")],
)
def test_a_figure_too_good_to_be_true_names_the_column(tmp_path: Path, column: str, said: str) -> None:
    random = np.random.default_rng(0)
    outcome = random.random(ROWS) < 0.4
    known = outcome ^ (random.random(ROWS) < 0.05)
    cells = {
        "closed_at_desk": [
            float(desk) if is_known else None for desk, is_known in zip(random.random(ROWS), known, strict=True)
        ],
        "state": np.where(known, "done", "open").tolist(),
    }
    table = pa.table(
        {"x": random.normal(0, 1, ROWS), **({column: cells[column]} if column else {}), "outcome": outcome}
    )
    found = proposed(written(tmp_path / "a.parquet", table), label="outcome", has_no_event_time=True)
    good, fair = (
        replace(found, trial=replace(found.trial, tried=(figure("candidate", value), figure("rival", 0.65))))
        for value in (0.06, 0.5)
    )
    assert said in "".join(too_good(good))
    assert len([*too_good(fair)]) == bool(column)
