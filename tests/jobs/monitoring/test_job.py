"""The drift job as SageMaker runs it: folders in, report out, on real rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from millrace.contract.load import load_contract
from millrace.decisions.columns import ColumnShape, of_decisions
from millrace.decisions.record import Decision, canonical
from millrace.errors import ArtefactError
from millrace.features.catalogue import declare
from millrace.jobs.monitoring.decisions import served
from millrace.jobs.runtime import ProcessingPlaces
from millrace.messages.monitor import ServedReport
from millrace.monitoring.alarms import RATIO_ALARMS
from millrace.monitoring.baseline import build
from millrace.monitoring.error import error_bound
from millrace.tasks.binary import Binary
from millrace.workload.load import load_workload
from tests import builders
from tests.jobs.monitoring.monitored import WEEK, prepared, report_of
from tests.jobs.monitoring.monitored import weeks as windows_of

REPOSITORY = Path(__file__).resolve().parents[3]
FOLDER = REPOSITORY / "workloads" / "electricity"
DRIFT = RATIO_ALARMS["input-drift"]
SOME_BOUND = error_bound([[0.1 + 0.02 * (week % 5) for week in range(60)]], windows=3, rate=0.01)
Prepare = Callable[..., ProcessingPlaces]


def rows_between(start: datetime, end: datetime) -> pa.Table:
    table = pq.read_table(FOLDER / "sample" / "elec2.parquet")
    times = table["timestamp"]
    first, last = (pa.scalar(at.replace(tzinfo=None), times.type) for at in (start, end))
    return table.filter(pc.and_(pc.greater_equal(times, first), pc.less(times, last)))


def decide(number: int, row: dict[str, Any], wrong: bool, version: str) -> Decision:
    label = row.pop("class")
    at = row["timestamp"].replace(tzinfo=UTC)
    cells = row | {"timestamp": row["timestamp"].isoformat()}
    return builders.decision(
        id=f"{version}-{at.isoformat()}-{number}",
        event_time=at,
        key={"timestamp": cells["timestamp"]},
        input=canonical(cells),
        output={"value": 1 - label if wrong else label, "probability": 0.5, "confidence": 0.5},
        model_version=version,
        inferred_at=at + timedelta(seconds=number % 48),
    )


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """Folders of a job over `weeks` weeks from `start`; the champion is version 1, one answer in `wrong` is wrong."""

    def made(
        start: datetime,
        weeks: int,
        *,
        wrong: int = 10,
        labels_until: datetime | None = None,
        **request: Any,
    ) -> ProcessingPlaces:
        workload, rows = load_workload(FOLDER), rows_between(start, start + weeks * WEEK)
        history = rows_between(datetime(1996, 1, 1, tzinfo=UTC), datetime(1997, 1, 1, tzinfo=UTC))
        features = declare(workload.prediction.features, load_contract(FOLDER).rows)
        places = prepared(
            tmp_path,
            FOLDER,
            baseline=build(history, workload=workload, features=features, error=SOME_BOUND).to_json(),
            decisions=[decide(n, row, n % wrong == 0, "1") for n, row in enumerate(rows.to_pylist())],
            labels=rows_between(start, labels_until or start + weeks * WEEK).select(["timestamp", "class"]),
            windows=windows_of(start, weeks),
            **request,
        )
        if request.get("floor"):
            with (places.input("config") / "workload.yaml").open("a") as declared:
                declared.write("policy: {floor: {labels: 300, return_labels: 300}}\n")
        return places

    return made


def test_quiet_weeks_and_the_week_that_three_columns_come_alive(prepare: Prepare) -> None:
    report = report_of(prepare(datetime(1997, 4, 9, tzinfo=UTC), 5))
    inputs = [window.input for window in report.windows]
    assert [one is not None and one.ratio is not None and one.ratio > 1 for one in inputs] == [False] * 3 + [True] * 2
    # Each row a call of its own day's second: 48 calls of 3 ms a day.
    assert [(one.served.fallback, one.served.p99_ms) for one in report.windows if one.served] == [(0, 3.0)] * 5
    assert {finding.column for finding in inputs[3].findings[:3]} == {"vicprice", "vicdemand", "transfer"}
    assert inputs[3].findings[0].statistic == "differing_rows"
    assert (DRIFT.ratio(report) or 0) > 1
    assert report.unreadable == 0


def who_answered(decisions: list[Decision]) -> ServedReport:
    return served(of_decisions(decisions, ColumnShape(cells={}, answer=Binary().answer)))


def test_a_window_says_who_answered_and_how_fast() -> None:
    row = {"timestamp": datetime(1997, 1, 1, tzinfo=UTC), "class": 1}
    model = [replace(decide(number, dict(row), False, "1"), latency_ms=1.0 + number) for number in range(3)]
    # Three calls with three rows each, one with a row that a person decides, and two rows of a file.
    asked = [replace(model[0], action="review", reason="unsure", inferred_at=datetime(1997, 1, 2, tzinfo=UTC))]
    missed = [replace(one, fallback=True, action="fallback", reason="no_model", model_version=None) for one in model]
    filed = [replace(model[0], source="batch", latency_ms=0.0)] * 2
    found = who_answered([*model, *model, *missed, *asked, *filed])
    assert (found.fallback, found.review, found.reasons) == (3, 1, {"no_model": 3, "unsure": 1})
    assert (found.calls, found.p50_ms, found.p95_ms) == (4, 1.5, 2.85)
    assert who_answered(filed).p99_ms is None


def test_the_error_of_three_windows_in_a_row(prepare: Prepare) -> None:
    report = report_of(prepare(datetime(1997, 1, 1, tzinfo=UTC), 4, wrong=2))
    errors = [window.error for window in report.windows]
    assert [one and one.error for one in errors] == [0.5] * 4
    assert [one is not None and one.ratio is not None and one.ratio > 1 for one in errors] == [False, False, True, True]
    assert report.error_cursor == datetime(1997, 1, 29, tzinfo=UTC)


def test_windows_wait_for_their_labels(prepare: Prepare) -> None:
    start = datetime(1997, 1, 1, tzinfo=UTC)
    report = report_of(prepare(start, 4, labels_until=start + 2 * WEEK + timedelta(days=5)))
    errors = [window.error for window in report.windows]
    assert [one is not None and one.settled for one in errors] == [True, True, False, False]
    assert report.error_cursor == start + 2 * WEEK
    # The week with five days of labels is judged by them, the one without waits.
    whole, _, part, none = [one and (one.error, one.low, one.high) for one in errors]
    assert whole[0] == whole[1] == whole[2]
    assert part[1] < 0.1 < part[2]
    assert none == (None, None, None)


def test_a_promise_is_learnt_from_windows_whose_labels_have_come(prepare: Prepare) -> None:
    """One acting answer in ten is wrong where one in twenty was promised: fewer act from now on."""
    start = datetime(1997, 1, 1, tzinfo=UTC)
    promise = {"promised_error": 0.05, "threshold": 0.5}
    report = report_of(prepare(start, 4, labels_until=start + 2 * WEEK + timedelta(days=5), promise=promise)).promise
    assert (report.learnt, report.acted, report.wrong) == (672, 672, 68)
    assert report.threshold > report.before == 0.5


def test_a_baseline_that_was_not_approved_is_not_judged_by(prepare: Prepare) -> None:
    places = prepare(datetime(1997, 1, 1, tzinfo=UTC), 1)
    request = places.input("config") / "request.json"
    given = json.loads(request.read_text())
    baseline = hashlib.sha256((places.input("baseline") / "baseline.json").read_bytes()).hexdigest()
    for digest, is_approved in ((baseline, True), ("0" * 64, False)):
        request.write_text(json.dumps(given | {"baseline_digest": digest}))
        with nullcontext() if is_approved else pytest.raises(ArtefactError, match="approved"):
            report_of(places)


@pytest.mark.parametrize("rule", [{"value": 0, "probability": 0.4, "confidence": 0.6}, None])
@pytest.mark.parametrize(("below", "wrong", "expected"), [(False, 2, True), (True, 10, False), (True, 2, True)])
def test_the_version_is_held_against_the_rule_on_the_newest_labels(
    rule: dict[str, Any] | None, below: bool, wrong: int, expected: bool, prepare: Prepare
) -> None:
    """The rule that says no to all is wrong in two fifths of the rows, the one that repeats yesterday in a third."""
    start = datetime(1997, 1, 1, tzinfo=UTC)
    floor = {"rule": rule, "below": below, "days": []}
    found = report_of(prepare(start, 2, wrong=wrong, floor=floor)).floor
    assert (found.below, found.before, found.labels) == (expected, below, 336)
    assert [one.day for one in found.days] == [f"1997-01-{day:02}" for day in range(8, 15)]
    assert found.own == pytest.approx(1 / wrong, abs=0.01)
    assert 0.3 < found.rule < 0.48
