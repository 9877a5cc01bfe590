"""Which version was live when, and whether drops are taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from millrace.console.doctor.examination import _drops
from millrace.console.environment import Environment
from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.console.queries.live import live_periods
from millrace.console.queries.reviews import check_taken
from millrace.errors import RunError
from millrace.messages.audit import AuditEvent, ResourcesRemoved, VersionDecided, VersionLive, VersionRolledBack
from millrace.messages.envelope import Message
from millrace.names import MACHINES, WorkloadNames
from millrace.state.audit import Record
from millrace.workload.load import load_workload, workloads_folder

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


NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")


def environment(*states: str) -> Environment:
    """Every list of its services has mappings in these states, and the machines of a workload."""
    machines = [{"name": NAMES.machine(name), "stateMachineArn": NAMES.machine_arn(name)} for name in MACHINES]
    page = {"EventSourceMappings": [{"State": state} for state in states], "stateMachines": machines}
    pages: Any = SimpleNamespace(paginate=lambda **_: [page])
    client: Any = SimpleNamespace(get_paginator=lambda _: pages)
    return Environment(platform=PLATFORM, client=lambda _: client)


@pytest.mark.parametrize("states", [("Enabled",), ("Enabling",), ("Disabled", "Enabled"), ()])
def test_drops_are_taken(states: tuple[str, ...]) -> None:
    """Also where there is no mapping: a stack that is not whole says so itself."""
    check_taken(environment(*states), NAMES)
    assert list(_drops(environment(*states), [load_workload(workloads_folder() / "electricity")])) == []


@pytest.mark.parametrize("state", ["Disabled", "Disabling"])
def test_drops_are_not_taken(state: str) -> None:
    with pytest.raises(RunError, match="switched off, by a teardown or by hand; the way back: cdk deploy --all"):
        check_taken(environment(state), NAMES)
    (check,) = _drops(environment(state), [load_workload(workloads_folder() / "electricity")])
    assert (check.verdict, check.found) == ("missing", "switched off")
