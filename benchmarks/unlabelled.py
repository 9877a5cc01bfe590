"""The error that a model expects of windows without labels, beside PAPE's estimate, on slices of income.

`python -m benchmarks.unlabelled --peers PYTHON`, with `lightgbm` installed in PYTHON's environment. The last line
is JSON.

The training job makes the workload's model five times, each time of other rows (two fifths of all). Of the rest one
half is the reference, whose labels PAPE learns from, and windows are drawn from the other: each has the rows of one
value of a feature, as the monitor's report cuts them, 100 at least and 2,000 at most (PAPE's own chunks). Ours is what
the monitor shows before labels come: the mean of 1 - confidence, which needs no reference. Nothing was set on these
slices.

    ours   the error that the model expects by its confidence
    PAPE   as published (`peers/pape.py`)
    test   the error of the reference rows, for every window

The bar: the mean distance from the error that the window's labels show is at most PAPE's.

Numbers have no confidence: what their error depends on is learnt from held-out rows (`monitoring.expected_error`). The
particles of air_quality, three times: of the last year every second day of the first half teaches, the weeks of the
second half are judged. Quiet windows are rows drawn from the other days of the first half. The bars: nearer than the
error of the days that taught, and of 1,000 quiet windows at most 1 % lie outside of the interval."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import conclude
from benchmarks.peers.pape import estimates
from benchmarks.quality.air_quality import DAYS, NUMBERS
from benchmarks.quality.trained import WORKLOADS, Part, train_workload
from millrace.decisions.columns import INPUT, OUTPUT
from millrace.jobs.monitoring.labels import parts
from millrace.monitoring.expected_error import learn
from millrace.workload.load import load_workload

SEEDS, FEWEST, MOST = (0, 1, 2, 3, 4), 100, 2_000
SHARES = {"train": 0.4, "validation": 0.05, "test": 0.55}
QUIET, OUTSIDE = 1_000, 0.01


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window of one value of a column, its error, and what each method estimates."""

    column: str
    error: float
    estimated: dict[str, float]

    def distance(self, method: str) -> float:
        return abs(self.estimated[method] - self.error)


def windows_of(held: Part, seed: int, peers: Path) -> Iterator[Window]:
    """The windows of one model's held-out rows."""
    says, label = held.output_NW[:, 0].astype(np.float64), held.target_N.astype(np.float64)
    wrong = ((says > 0.5) != (label > 0.5)).astype(np.float64)
    expected = np.minimum(says, 1 - says)
    order = np.random.default_rng(seed).permutation(len(says))
    reference, later = order[: len(order) // 2], order[len(order) // 2 :]
    features = [one.name for one in load_workload(WORKLOADS / "income").prediction.features]
    found = [
        (name, later[part_N[later]][:MOST])
        for name in features
        for part_N in parts(held.rows[name].to_pylist()).values()
        if FEWEST <= part_N[later].sum() < len(later)
    ]
    with tempfile.TemporaryDirectory() as folder:
        by_pape = estimates(
            peers,
            Path(folder),
            X=np.stack([numbers(held.rows[name]) for name in features], axis=1),
            says=says,
            reference=reference,
            label=label[reference],
            windows=[rows for _, rows in found],
        )
    usual = float(wrong[reference].mean())
    for (column, rows), theirs in zip(found, by_pape, strict=True):
        estimated = {"ours": float(expected[rows].mean()), "PAPE": float(theirs), "test": usual}
        yield Window(column=column, error=float(wrong[rows].mean()), estimated=estimated)


def weeks_of(held: Part) -> tuple[list[Window], float]:
    """The weeks of a model of numbers, and the share of quiet windows outside of the interval."""
    cells = held.rows.select(NUMBERS).rename_columns([INPUT + name for name in NUMBERS])
    cells = cells.append_column(OUTPUT + "value", pa.array(held.output_NW[:, 0], pa.float64()))
    error, at_N = np.abs(held.output_NW[:, 0] - held.target_N).astype(np.float64), held.rows["timestamp"].to_numpy()
    day = (at_N - at_N.min()) // np.timedelta64(1, "D")
    early, odd = day < day.max() / 2, day % 2 == 1
    taught, quiet = np.flatnonzero(early & odd), np.flatnonzero(early & ~odd)
    model = learn(cells.take(taught), error[taught], day[taught])
    expected, usual, weeks, outside = model.expected(cells), float(error[taught].mean()), list[Window](), 0
    for week in np.unique(day[~early] // 7):
        at = ~early & (day // 7 == week)
        estimated = {"ours": float(expected[at].mean()), "test": usual}
        weeks.append(Window(column="pm2.5", error=float(error[at].mean()), estimated=estimated))
    for at in np.random.default_rng(0).choice(quiet, (QUIET, 168)):
        low, high = model.interval(expected[at])
        outside += not low <= error[at].mean() <= high
    return weeks, outside / QUIET


def numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """The cells as numbers, words by their place among the words, NaN for an empty cell."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.index_in(column, pc.unique(column.drop_null()).sort())
    found: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    return found


def distances(windows: Sequence[Window]) -> dict[str, float]:
    """The mean distance of each method from the true error."""
    methods = windows[0].estimated
    return {method: round(float(np.mean([one.distance(method) for one in windows])), 5) for method in methods}


def verdict(*, found: Sequence[Window], weeks: Sequence[Window], outside: float) -> dict[str, Any]:
    """The distances over all windows and by column, and whether ours is at most PAPE's, and the usual error's."""
    mean, of_numbers, columns = distances(found), distances(weeks), sorted({one.column for one in found})
    return {
        "name": "unlabelled",
        "windows": len(found),
        "mean": mean,
        "nearer": sum(one.distance("ours") <= one.distance("PAPE") for one in found),
        "columns": {name: distances([one for one in found if one.column == name]) for name in columns},
        "numbers": {**of_numbers, "outside": outside},
        "holds": mean["ours"] <= mean["PAPE"] and of_numbers["ours"] <= of_numbers["test"] and outside <= OUTSIDE,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", type=Path, required=True, help="the Python with lightgbm")
    peers, found = parser.parse_args().peers, list[Window]()
    rows = pq.read_table(WORKLOADS / "income/sample/adult.parquet")
    rows = rows.add_column(1, "at", pa.array([0] * len(rows), pa.timestamp("us", "UTC")))
    for seed in SEEDS:
        split = np.random.default_rng(seed).choice(list(SHARES), len(rows), p=list(SHARES.values()))
        cut = rows.set_column(rows.schema.get_field_index("split"), "split", pa.array(split))
        windows = list(windows_of(train_workload("income", cut, parameters={"seed": seed}).test, seed, peers))
        print(f"seed {seed}: {len(windows)} windows, {distances(windows)}", flush=True)
        found += windows
    hours, weeks, outside = pq.read_table(WORKLOADS / "air_quality/sample/beijing_pm25.parquet"), list[Window](), 0.0
    for seed in SEEDS[:3]:
        judged, share = weeks_of(train_workload("air_quality", hours, parameters={"seed": seed}, training=DAYS).test)
        print(
            f"seed {seed}: {len(judged)} weeks, {distances(judged)}, {share:.1%} of quiet windows outside", flush=True
        )
        weeks, outside = [*weeks, *judged], max(outside, share)
    conclude(verdict(found=found, weeks=weeks, outside=outside))


if __name__ == "__main__":
    main()
