"""Alarms of AWS's two sample monitors, of Evidently's defaults and of our monitor on the same windows.

`python -m benchmarks.watching elec2.parquet`, with the packages `evidently` (0.7) and `pandas<3` installed; the
file has all 45,312 published rows, of which the workload's sample is a part. AWS names its samples as what takes the
place of Model Monitor. Their rules stand here on Evidently's own report, with their sizes: 5,000 random rows of the
baseline, at most 10,000 of the window.

    real-time sample   aws-samples/sample-mlops-bestpractices   Evidently's alarm (half of the columns); a column is
                                                                named if its score is below the threshold
    batch sample       aws-samples/sample-aiops-on-amazon-sagemakerai   the same report; a column is named, and alarms,
                                                                if its score is above the threshold

The windows: the 83 weeks of electricity after 2 May 1997, every second one as baseline and 42 to judge, in which
nothing happens; and normal columns of which two of ten move by one standard deviation. The last line is JSON.

The bars: at most 1 % of the quiet weeks alarm; each of 1,000 moves alarms in its first window, and the two columns that
it names are those that moved; a month at 1,000 predictions a day costs at most 1 USD."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import conclude
from millrace.contract.load import load_contract
from millrace.features import catalogue as encoders
from millrace.monitoring import baseline
from millrace.monitoring.alarms import monitor_alarms
from millrace.monitoring.judgement import judge
from millrace.operations.alarms import USD_PER_METRIC
from millrace.workload.load import load_workload
from millrace.workload.prices import usd_per_hour
from tests.electricity import HOME

COLUMNS = ("nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
FIRST, WEEK = datetime(1997, 5, 2, tzinfo=UTC), timedelta(days=7)
WEEKS, ROWS, TRIALS, THEIR_TRIALS, MOVED = 83, 1_000, 1_000, 20, ("x3", "x7")
BASELINE_ROWS, WINDOW_ROWS = 5_000, 10_000
JUDGED, MOST_QUIET, MOST_USD = (WEEKS + 1) // 2, 0.01, 1.0
JOB_S, RUNS = 180, 31 / 7
"""Seconds that a processing job of a small window is billed, start and end included, and weekly runs in a month."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a window alarms, and the columns that the alarm names."""

    alarms: bool
    named: frozenset[str]


def theirs(reference: pa.Table, window: pa.Table) -> dict[str, Verdict]:
    """The verdicts of Evidently's defaults and of the two samples, from one report of Evidently."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    random = np.random.default_rng(0)
    rows = reference.take(random.permutation(reference.num_rows)[:BASELINE_ROWS])
    found = Report([DataDriftPreset()]).run(window.slice(0, WINDOW_ROWS).to_pandas(), rows.to_pandas())
    metrics = found.dict()["metrics"]
    [drifted] = [one["value"] for one in metrics if isinstance(one["value"], dict)]
    columns = {one["config"]["column"]: one for one in metrics if not isinstance(one["value"], dict)}
    scores = {name: (float(one["value"]), float(one["config"]["threshold"])) for name, one in columns.items()}
    half = drifted["share"] >= 0.5
    below = frozenset(name for name, (score, threshold) in scores.items() if score < threshold)
    above = frozenset(name for name, (score, threshold) in scores.items() if score > threshold)
    return {
        "evidently": Verdict(alarms=half, named=above),
        "real-time sample": Verdict(alarms=half, named=below),
        "batch sample": Verdict(alarms=bool(above), named=above),
    }


def ours(known: baseline.Baseline, window: pa.Table) -> Verdict:
    found = judge(known, window)
    named = frozenset(one.column for one in found.findings if one.ratio > 1)
    return Verdict(alarms=(found.ratio or 0) > 1, named=named)


def quiet(file: str) -> dict[str, int]:
    """How many of the 42 quiet weeks alarm, by monitor."""
    workload = load_workload(HOME)
    features = encoders.declare(workload.prediction.features, load_contract(HOME).rows)
    table = pq.read_table(file)
    # The published set has 4 May 1997 twice; ingestion keeps one copy.
    first = {at: number for number, at in reversed(list(enumerate(table["timestamp"].to_pylist())))}
    table = table.take(sorted(first.values()))
    times = table["timestamp"]

    def week(number: int) -> pa.Table:
        first, last = (pa.scalar(FIRST + at * WEEK, times.type) for at in (number, number + 1))
        return table.filter(pc.and_(pc.greater_equal(times, first), pc.less(times, last)))

    reference = pa.concat_tables([week(number) for number in range(1, WEEKS, 2)])
    known = baseline.build(reference, workload=workload, features=features, error=None)
    counts = dict.fromkeys(("ours", "real-time sample", "batch sample", "evidently"), 0)
    for number in range(0, WEEKS, 2):
        window = week(number)
        counts["ours"] += ours(known, encoders.summarise(features, window)).alarms
        for name, verdict in theirs(reference.select(COLUMNS), window.select(COLUMNS)).items():
            counts[name] += verdict.alarms
    return counts


def normal(rows: int, seed: int, *, moved: bool) -> pa.Table:
    random = np.random.default_rng(seed)
    names = [f"x{place}" for place in range(10)]
    return pa.table({name: random.normal(float(moved and name in MOVED), 1, rows) for name in names})


def moves() -> dict[str, tuple[int, int, int]]:
    """By monitor: trials, how many alarm, and how many name just the two columns that moved."""
    reference = normal(52 * ROWS, 0, moved=False)
    window_N = np.arange(reference.num_rows) // ROWS
    known = baseline.of_windows(
        reference, window_N, np.arange(52), workload="normal", span=None, rate=0.01, window_days=7
    )
    found: dict[str, list[Verdict]] = {"ours": []}
    for seed in range(1, TRIALS + 1):
        window = normal(ROWS, seed, moved=True)
        found["ours"].append(ours(known, window))
        if seed <= THEIR_TRIALS:
            for name, verdict in theirs(reference, window).items():
                found.setdefault(name, []).append(verdict)
    right = frozenset(MOVED)
    return {
        name: (len(all_), sum(one.alarms for one in all_), sum(one.named == right for one in all_))
        for name, all_ in found.items()
    }


def verdict(*, quiet_weeks: Mapping[str, int], moved: Mapping[str, Sequence[int]], usd: float) -> dict[str, Any]:
    """The result; the bars are on our monitor alone."""
    is_quiet, is_seen = quiet_weeks["ours"] <= MOST_QUIET * JUDGED, list(moved["ours"]) == [TRIALS] * 3
    figures = {"quiet_weeks": dict(quiet_weeks), "moved": {name: list(one) for name, one in moved.items()}, "usd": usd}
    return {"name": "watching", **figures, "holds": is_quiet and is_seen and usd <= MOST_USD}


def main() -> None:
    """Print the figures; the last line says whether the bars hold, and the exit status is 1 where one is missed."""
    warnings.simplefilter("ignore")
    workload, quiet_weeks, moved = load_workload(HOME), quiet(sys.argv[1]), moves()
    jobs = RUNS * JOB_S / 3600 * usd_per_hour(workload.rollout.instance["prod"])
    usd = jobs + USD_PER_METRIC * len(monitor_alarms(workload.policy))
    for name, alarms in quiet_weeks.items():
        trials, seen, named = moved[name]
        print(f"{name}: {alarms} of {JUDGED} quiet weeks; moves seen {seen} of {trials}, named right {named}")
    print(f"a month of weekly runs and of the monitors' alarms: {usd:.2f} USD")
    conclude(verdict(quiet_weeks=quiet_weeks, moved=moved, usd=round(usd, 2)))


if __name__ == "__main__":
    main()
