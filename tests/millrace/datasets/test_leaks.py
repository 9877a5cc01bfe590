"""No example knows what was measured after its own hour, and no label after the horizon: real hours of Beijing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from millrace.contract.load import load_contract
from millrace.datasets.examples import LABEL, Examples, examples
from millrace.evaluation.naive.rule import LabelledRows
from millrace.features import catalogue
from millrace.features.as_of import HOUR_US, EntityTimes
from millrace.features.history import History
from millrace.tasks.regression import Regression
from millrace.workload.load import load_workload

FOLDER = Path(__file__).parents[3] / "workloads" / "air_quality"
WORKLOAD = load_workload(FOLDER)
FEATURES = catalogue.declare(WORKLOAD.prediction.features, load_contract(FOLDER).rows)
HOURS = pq.read_table(FOLDER / "sample" / "beijing_pm25.parquet").slice(0, 24 * 200)
CUT = np.datetime64("2011-06-01T00")
DAY = np.timedelta64(24, "h")
OTHER = 1e6
"""In place of every number that is measured after the cut."""


@dataclass(frozen=True, kw_only=True)
class Ahead(History):
    """The control: it reads the hour after its row."""

    def _look_up(self, here: EntityTimes, there: EntityTimes, values_MF: Any) -> Any:
        return super()._look_up(replace(here, time_N=here.time_N + HOUR_US), there, values_MF)


def made(features: catalogue.Features, *, is_changed: bool) -> Examples:
    table = HOURS
    for name in ("pm2.5", "DEWP", "TEMP", "PRES", "Iws"):
        later = pc.greater(table["timestamp"], pa.scalar(CUT.astype("datetime64[us]").astype(datetime)))
        cells = pc.if_else(later, OTHER, table[name]) if is_changed else table[name]
        table = table.set_column(table.column_names.index(name), name, cells)
    return examples(table, workload=WORKLOAD, features=features)


def early(found: Examples, features: catalogue.Features) -> dict[str, Any]:
    """The tensors of the examples up to the cut."""
    last = int(np.searchsorted(found.times_N, CUT, side="right"))
    return {name: values[:last] for name, values in catalogue.encode(features, found.table).items()}


def moved(features: catalogue.Features) -> list[str]:
    """The tensors of which an early example changes when what is measured later does.

    Only examples of which both versions have a label are compared: a label that was missing may be there now."""
    before, after = (made(features, is_changed=is_changed) for is_changed in (False, True))
    _, here, there = np.intersect1d(before.times_N, after.times_N, return_indices=True)
    old, new = (early(found, features) for found in (before, after))
    pairs = [(i, j) for i, j in zip(here, there, strict=True) if before.times_N[i] <= CUT]
    rows = tuple(np.array(pairs).T)
    assert len(pairs) > 3000, "enough to notice a leak"
    return [name for name in old if not np.array_equal(old[name][rows[0]], new[name][rows[1]], equal_nan=True)]


def test_no_example_reads_a_later_hour() -> None:
    assert moved(FEATURES) == []


def test_an_encoder_that_reads_one_hour_ahead_is_noticed() -> None:
    ahead = tuple(Ahead(**vars(one)) if isinstance(one, History) else one for one in FEATURES)
    assert moved(ahead) == ["history"]


@pytest.mark.parametrize(("lag_hours", "is_known"), [(24, True), (23, False)])
def test_the_naive_rule_knows_no_more_than_the_model(lag_hours: int, is_known: bool) -> None:
    """Its answer is the value of the row's own hour; with a shorter lag, which synth refuses, a later one."""
    found = made(FEATURES, is_changed=False)
    target_N = Regression().targets(found.table[LABEL])
    rows = LabelledRows(target_N=target_N, times_N=found.times_N, entity_N=[()] * len(target_N), test=found.parts.test)
    gate: Any = WORKLOAD.gates.baseline.model_copy(update={"lag_hours": lag_hours})
    naive = gate.answer(rows, Regression())
    own_T = found.part(found.parts.test)["pm2.5"].to_numpy(zero_copy_only=False).astype(np.float32)
    assert np.array_equal(naive.output_TW[:, 0], own_T[naive.rows_T]) is is_known
