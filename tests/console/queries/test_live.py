"""Which version was live when, by the audit records alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from console.queries.live import LivePeriod, live_periods
from millrace.messages.audit import AuditEvent, ResourcesRemoved, VersionDecided, VersionLive, VersionRolledBack
from millrace.messages.envelope import Message
from millrace.state.audit import Record

DAY = timedelta(days=1)
START = datetime(1997, 5, 1, tzinfo=UTC)
ANN = "arn:aws:sts::123456789012:assumed-role/Leads/ann"


def record(event: AuditEvent, details: Message, run: str = "r", day: float = 0) -> Record:
    arn = f"arn:aws:states:eu-west-1:123456789012:execution:release:{run}"
    return Record(actor="x", execution_arn=arn, event=event, as_of=START + day * DAY, cause="", details=details)


def live(version: str, revision: int, day: float, requests: int = 48) -> VersionLive:
    """It went live on this day after the start."""
    return VersionLive(
        version=version,
        revision=revision,
        watched_requests=requests,
        live_at=START + day * DAY,
        endpoint_config=f"v{version}-{revision}-live",
    )


BACK = VersionRolledBack(**{**vars(live("1", 3, 9)), "by": ANN, "reason": "worse since Tuesday", "replaced": "2"})
RECORDS = [
    record(AuditEvent.RELEASE_ROLLED_BACK, BACK, "third"),
    # Approved on the first day, and live after three weeks of phases: the release's own time says nothing of that.
    record(AuditEvent.RELEASE_APPROVED, VersionDecided(version="2", by=ANN, reason="as good on our wards")),
    record(AuditEvent.RELEASE_LIVE, live("2", 2, 4), "second"),
    record(AuditEvent.RELEASE_LIVE, live("2", 2, 5, requests=60), "second"),
    record(AuditEvent.RELEASE_LIVE, live("1", 1, 0), "first"),
    record(AuditEvent.TEARDOWN_STEP, ResourcesRemoved(step="endpoints", found=()), "gone", day=11),
    record(AuditEvent.TEARDOWN_STEP, ResourcesRemoved(step="endpoints", found=("endpoint e",)), "gone", day=12),
]


def test_periods_follow_each_other_whatever_the_order_of_the_records() -> None:
    found = live_periods(RECORDS)
    assert [(one.version, one.since, one.until) for one in found] == [
        ("1", START, START + 4 * DAY),
        ("2", START + 4 * DAY, START + 9 * DAY),
        ("1", START + 9 * DAY, START + 12 * DAY),
    ]
    assert live_periods(reversed(RECORDS)) == found
    assert live_periods([]) == []


def test_a_period_has_its_people_and_its_configuration() -> None:
    first, second, third = live_periods(RECORDS)
    nobody = {"approved_by": "", "approval": "", "rolled_back_by": "", "rollback": ""}
    assert vars(first) == nobody | {
        "version": "1", "since": START, "until": START + 4 * DAY, "endpoint_config": "v1-1-live", "execution": "first",
        "revision": 1,
    }  # fmt: skip
    assert (second.approved_by, second.approval, second.execution) == (ANN, "as good on our wards", "second")
    assert (third.rolled_back_by, third.rollback) == (ANN, "worse since Tuesday")
    assert third.endpoint_config == "v1-3-live"


@pytest.mark.parametrize("removed", [False, True])
def test_without_a_teardown_the_last_one_is_live_still(removed: bool) -> None:
    last: LivePeriod = live_periods(RECORDS if removed else RECORDS[:5])[-1]
    assert (last.until is None) is not removed
