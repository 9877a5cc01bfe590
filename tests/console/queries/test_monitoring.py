"""Windows from several reports, alarms, and the champion of each day."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from millrace.console.queries.monitoring import ChampionPeriod, champion_periods, windows
from millrace.console.queries.report import WorkloadReport
from millrace.messages.audit import AuditEvent, VersionLive, VersionRolledBack
from millrace.messages.envelope import Message
from millrace.messages.train import GatesJudged
from millrace.state.audit import Record


def test_without_a_bound_the_error_has_no_ratio(report: WorkloadReport) -> None:
    bare = windows([replace(run, error_bound=None) for run in report.monitor_runs])
    assert {window.error for window in bare} == {None}
    assert [window.ratios for window in bare] == [window.ratios for window in report.windows]


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
