"""A file whose rows are about the same few things is split by these, and what gives the answer away is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from millrace.console.new.proposal import Proposal
from millrace.console.new.remarks import notes_of, too_good
from millrace.messages.trial import Tried
from tests.console.new.conftest import proposed, written
from tests.entities import NAME, made_up

PATIENTS, VISITS = 120, 8
ROWS = PATIENTS * VISITS


def visits(*, name: bool = True) -> pa.Table:
    """Readings that identify a patient, and an outcome of the patient: nothing can be known of a new one."""
    random = np.random.default_rng(0)
    patient = random.permutation(np.repeat(np.arange(PATIENTS), VISITS))
    readings = random.normal(0, 1, (PATIENTS, 4))[patient] + random.normal(0, 0.1, (ROWS, 4))
    columns = {"patient": 1000 + 7 * patient} if name else {}
    rows = columns | {f"r{place}": readings[:, place].round(3) for place in range(4)}
    return pa.table(rows | {"outcome": random.integers(0, 2, PATIENTS)[patient]})


def split_of(found: Proposal) -> dict[str, Any]:
    return dict(yaml.safe_load(found.workload_yaml)["training"]["split"])


@pytest.mark.parametrize(
    ("words", "split"),
    [
        ({}, {"by": "group", "column": "patient"}),
        ({"has_no_group": True}, {"by": "key_hash"}),
    ],
    ids=["found", "an option says that there is none"],
)
def test_rows_of_a_patient_are_on_one_side(tmp_path: Path, words: dict[str, Any], split: dict[str, Any]) -> None:
    path = written(tmp_path / "visits.parquet", visits())
    found = proposed(path, label="outcome", **words)
    assert split.items() <= split_of(found).items()
    if split["by"] == "group":
        parts = found.rehearsal.examples.parts
        sides = [{*found.rehearsal.examples.part(part)["patient"].to_pylist()} for part in (parts.train, parts.test)]
        assert not sides[0] & sides[1]
        assert "patient" not in found.prediction.features
        assert found.contract.column("patient").required
        assert not found.contract.column("patient").rules, "new patients have new numbers"


@pytest.mark.parametrize(
    ("name", "pieces"), [(lambda row, one: f"P{one}-{row}", 1), (lambda row, one: f"P{one}" if row else None, 0)]
)
def test_a_name_may_begin_a_code_or_lack_in_a_row(tmp_path: Path, name: Callable[..., Any], pieces: int) -> None:
    rows = visits()
    cells = [name(row, one) for row, one in enumerate(rows["patient"].to_pylist())]
    found = proposed(written(tmp_path / "a.parquet", rows.set_column(0, "name", pa.array(cells))), label="outcome")
    assert split_of(found).get("pieces", 0) == pieces
    assert (split_of(found)["by"], split_of(found)["column"]) == ("group", "name")
    assert (len(found.refused), found.contract.column("name").required) == (0, None not in cells)
    parts = found.rehearsal.examples.parts
    sides = [found.rehearsal.examples.part(part)["name"].to_pylist() for part in (parts.train, parts.test)]
    first, second = ({str(one).split("-")[0] for one in side if one} for side in sides)
    assert not first & second


def test_few_machines_are_named_and_not_held_back(tmp_path: Path) -> None:
    rows, label = made_up(1, planted=True, shape="ten machines")
    found = proposed(written(tmp_path / "a.parquet", rows.append_column("outcome", pa.array(label))), label="outcome")
    assert split_of(found)["by"] == "key_hash"
    assert any(note.startswith(f"warning: rows of one {NAME} are alike") for note in notes_of(found))


def test_rows_without_a_name_whose_neighbours_are_alike_are_in_order(tmp_path: Path) -> None:
    random, rows = np.random.default_rng(0), 1200
    walk = np.cumsum(random.normal(0, 1, (rows, 3)), axis=0)
    table = pa.table({"a": walk[:, 0], "b": walk[:, 1], "outcome": walk[:, 2]})
    assert split_of(proposed(written(tmp_path / "a.parquet", table), label="outcome"))["by"] == "row_order"
    assert split_of(proposed(tmp_path / "a.parquet", label="outcome", has_no_event_time=True))["by"] == "key_hash"


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


@pytest.mark.parametrize(("noise", "is_doubted"), [(0.1, True), (0.25, False)])
def test_a_list_price_is_no_answer(tmp_path: Path, noise: float, is_doubted: bool) -> None:
    random = np.random.default_rng(0)
    listed = random.normal(100, 20, ROWS)
    rows = {"listed": listed, "x": random.normal(0, 1, ROWS), "price": listed + 20 * noise * random.normal(0, 1, ROWS)}
    found = proposed(written(tmp_path / "a.parquet", pa.table(rows)), label="price", has_no_event_time=True)
    assert any("listed alone" in note for note in notes_of(found)) is is_doubted


def test_a_time_that_is_never_before_the_event_is_doubted(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    placed = np.datetime64("2024-01-01T00:00:00") + np.arange(ROWS) * np.timedelta64(1, "h")
    times = {
        "timestamp": placed,
        "delivered at": placed + random.integers(20, 90, ROWS).astype("timedelta64[m]"),
        "last seen": placed + random.integers(-90, 90, ROWS).astype("timedelta64[m]"),
    }
    table = pa.table(times | {"x": random.normal(0, 1, ROWS), "late": random.choice(["ja", "nein"], ROWS)})
    found = proposed(written(tmp_path / "a.parquet", table), label="late")
    doubted = [one for one in notes_of(found) if "--leave-out" in one]
    assert len(doubted) == 1
    assert "delivered at is never before timestamp" in doubted[0]
    assert found.guesses["positive"].value == "ja"
