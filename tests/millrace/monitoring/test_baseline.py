"""The baseline file: size, round trip, what it refuses."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from millrace.errors import ArtefactError, ConfigurationError
from millrace.features import catalogue as encoders
from millrace.features.boolean import Boolean
from millrace.features.category import Category
from millrace.features.number import Number
from millrace.monitoring.baseline import Baseline, build, of_windows, random_windows
from millrace.monitoring.calibration import PROMISED_WINDOWS, SLICES
from millrace.monitoring.sketch import Constant
from millrace.workload.declaration import Workload
from tests.millrace.monitoring.conftest import END, START, Cut, numbers


def test_what_it_says_of_1996(baseline: Baseline) -> None:
    assert (baseline.rows, baseline.windows, baseline.rows_per_window) == (11_472, 34, 336)
    assert baseline.windows < PROMISED_WINDOWS
    assert [column.name for column in baseline.columns if isinstance(column.sketch, Constant)] == [
        "vicprice", "vicdemand", "transfer",
    ]  # fmt: skip
    assert baseline.error is not None
    assert Baseline.from_json(baseline.to_json()) == baseline


def test_categories_booleans_and_missing_values(between: Cut, workload: Workload) -> None:
    table = between(START, END)
    n = table.num_rows
    features = (Category(name="wind"), Boolean(name="windy"), Number(name="still"), Category(name="long"))
    table = pa.table(
        {
            "timestamp": table["timestamp"],
            "wind": pa.array(["N", "E", None, "S"] * (n // 4)).dictionary_encode(),
            "windy": [k % 3 == 0 for k in range(n)],
            "still": [1.5 if k % 2 else None for k in range(n)],
            "long": [f"a rather long name of a category {k % 500}" for k in range(n)],
        }
    )
    built = build(table, workload=workload, features=features, error=None)
    assert {column.name: column.sketch.kind for column in built.columns} == {
        "wind": "categorical", "windy": "categorical", "still": "numeric", "long": "categorical",
    }  # fmt: skip
    assert Baseline.from_json(built.to_json()) == built
    for column in json.loads(built.to_json())["columns"]:
        assert len(json.dumps(column, separators=(",", ":"))) <= 2000


def test_a_history_that_sets_no_baseline_and_a_damaged_file_are_named(between: Cut, workload: Workload) -> None:
    table = between(START, END)
    week = between(datetime.fromisoformat("1996-06-01"), datetime.fromisoformat("1996-06-08"))
    timed = table.set_column(table.column_names.index("nswprice"), "nswprice", table["timestamp"])
    for history, expected in (
        (week, "at least 2, got 1"),
        (table.drop_columns("nswprice"), "nswprice: expected a column"),
        (timed, "nswprice: expected numbers, text or booleans"),
    ):
        with pytest.raises(ConfigurationError, match=expected):
            build(history, workload=workload, features=numbers(workload), error=None)
    with pytest.raises(ArtefactError, match=r"baseline.json: workload"):
        Baseline.from_json('{"rows": 3}')


def test_few_windows_widen_the_bounds_and_say_so(between: Cut, workload: Workload) -> None:
    """Of five weeks: parts of an eighth of a week stand for weeks."""
    june = datetime.fromisoformat("1996-06-01"), datetime.fromisoformat("1996-07-06")
    few = build(between(*june), workload=workload, features=numbers(workload), error=None)
    assert (few.windows, few.run) == (5, 2)
    assert set(few.factors) == {"kolmogorov_smirnov", "wasserstein", "unseen", "missing"}
    whole = of_windows(
        encoders.summarise(numbers(workload), between(*june)),
        np.arange(35 * 48) // 42,
        np.arange(40),
        workload="w",
        span=None,
        rate=0.01,
    )
    of_week = {column.name: few.bound(column, "kolmogorov_smirnov", 336) for column in few.columns if column.moments}
    of_part = {c.name: whole.bound(c, "kolmogorov_smirnov", 42) for c in whole.columns if c.moments}
    assert whole.run == SLICES
    # They differ only in what a part is compared with: all rows but those of its week, or all but its own.
    assert of_week == pytest.approx(of_part, rel=0.2)


def test_entities_are_not_torn_apart() -> None:
    entity_N = np.repeat(np.arange(90), [10, 20, 30] * 30)
    window_N, complete = random_windows(entity_N)
    assert all(len(set(window_N[entity_N == entity])) == 1 for entity in range(90))
    assert len(complete) >= 30
    rows_K = np.bincount(window_N)[complete]
    assert rows_K.min() >= 0.8 * np.median(np.bincount(window_N, minlength=40))
    # Few entities are in every window, so their rows are drawn.
    window_N, complete = random_windows(np.repeat(np.arange(5), 200))
    assert len(complete) == 40


def test_rows_without_an_order_in_time_are_calibrated_on_random_parts() -> None:
    window_N, complete = random_windows(np.arange(1003))
    counts = np.bincount(window_N)
    assert (len(counts), len(complete)) == (40, 40)
    assert counts.max() - counts.min() <= 1
    assert not (np.diff(window_N) >= 0).all()
    np.testing.assert_array_equal(random_windows(np.arange(1003))[0], window_N)
