"""Windows from several reports, who answered their rows, and the champion of each day."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from scipy.stats import betabinom

from millrace.console.pages.page import page
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.monitoring import (
    ChampionPeriod,
    champion_periods,
    find_rejected,
    probability,
    served_windows,
)
from millrace.console.queries.report import WorkloadReport
from millrace.messages.audit import AuditEvent, VersionLive, VersionRolledBack
from millrace.messages.envelope import Message
from millrace.messages.served import ServedReport
from millrace.messages.train import GatesJudged
from millrace.state.audit import Record
from tests.console.conftest import stage_of

QUIET = ServedReport(fallback=1, review=30, reasons={"unsure": 30, "asleep": 1}, calls=7, p50_ms=3, p95_ms=4, p99_ms=9)
OUTAGE = QUIET.model_copy(update={"fallback": 48, "reasons": {"asleep": 48, "unsure": 30}})


def record(event: AuditEvent, details: Message, day: int) -> Record:
    at = datetime(1997, 5, day, tzinfo=UTC)
    return Record(actor="x", execution_arn="arn:x", event=event, as_of=at, cause="", details=details)


def test_the_champion_of_each_day_is_by_the_audit() -> None:
    def shared(day: int) -> Any:
        return {"watched_requests": 48, "live_at": datetime(1997, 5, day, tzinfo=UTC), "endpoint_config": "c"}

    back = VersionRolledBack(version="1", revision=3, **shared(9), by="someone", reason="worse", replaced="2")
    records = [
        record(AuditEvent.RELEASE_LIVE, VersionLive(version="1", revision=1, **shared(1)), 1),
        record(AuditEvent.MODEL_PASSED, GatesJudged(passed=True, verdicts=()), 3),
        record(AuditEvent.RELEASE_LIVE, VersionLive(version="2", revision=2, **shared(4)), 2),
        record(AuditEvent.RELEASE_ROLLED_BACK, back, 9),
    ]
    assert champion_periods(records, until=date(1997, 6, 1)) == (
        ChampionPeriod(version="1", start=date(1997, 5, 1), end=date(1997, 5, 4)),
        ChampionPeriod(version="2", start=date(1997, 5, 4), end=date(1997, 5, 9)),
        ChampionPeriod(version="1", start=date(1997, 5, 9), end=date(1997, 6, 1), by_rollback=True),
    )
    assert champion_periods([], until=date(1997, 6, 1)) == ()


def with_served(report: WorkloadReport) -> WorkloadReport:
    *quiet, last = report.windows
    windows = (*(replace(one, served=QUIET) for one in quiet), replace(last, served=OUTAGE))
    refused = ReasonCount(reason="range", rows=2, example="")
    drops = tuple(replace(one, as_of=f"{last.start}T06:00:00Z", reasons=(refused,)) for one in report.drops[:2])
    return replace(report, windows=windows, drops=drops)


def test_refused_rows_of_requests_are_read_by_day(report: WorkloadReport, account: None) -> None:
    environment = stage_of(report.names.platform)
    last, dimensions = report.windows[-1], [{"Name": "Workload", "Value": report.names.workload}]
    for hours, rows in ((1, 2.0), (23, 3.0), (25, 4.0)):
        at = datetime.combine(last.start, time(), UTC) + timedelta(hours=hours)
        datum = {"MetricName": "RejectedRows", "Value": rows, "Timestamp": at, "Dimensions": dimensions}
        environment.client("cloudwatch").put_metric_data(Namespace=report.names.platform.metrics, MetricData=[datum])
    found = find_rejected(environment, report.names, report.windows)
    assert found == {last.start: 5, last.start + timedelta(days=1): 4}
    assert find_rejected(environment, report.names, ()) == {}


@pytest.mark.parametrize("asked", [(1, 336, 0, 336), (48, 336, 1, 336), (3, 10, 90, 100), (0, 5, 1, 9), (5, 5, 0, 40)])
def test_the_probability_is_that_of_the_distribution(asked: tuple[int, int, int, int]) -> None:
    count, rows, known, history = asked
    expected = betabinom.sf(count - 1, rows, known + 1, history - known + 1)
    assert probability(*asked) == pytest.approx(expected, rel=1e-6)


def test_an_unusual_share_is_told_beside_those_before(report: WorkloadReport) -> None:
    report = with_served(report)
    *quiet, last = served_windows(report.windows, report.drops)
    assert not any(one.unusual or one.refused for one in quiet)
    (said,) = last.unusual
    assert said.startswith("14.3% by fallback (asleep 48, unsure 30), 0.3% in")
    assert last.refused == {"range": 4}
    days = {last.window.start: 5, last.window.end: 7}
    assert served_windows(report.windows, report.drops, days)[-1].refused == {"requests": 5, "range": 4}
    assert said in page(report)
    assert last.percentiles_ms == "3.0 / 4.0 / 9.0"
