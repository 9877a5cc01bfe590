"""What the live endpoint costs in a month, and from when."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from console.environment import Environment
from console.local_cloud.local_cloud import PLATFORM
from console.queries import usage
from millrace.names import WorkloadNames

NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
FIRST, END = datetime(1997, 5, 1, tzinfo=UTC), datetime(1997, 5, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("created", "hours", "since"),
    [
        (datetime(1997, 4, 1, tzinfo=UTC), 720.0, None),
        (datetime(1997, 5, 30, tzinfo=UTC), 24.0, datetime(1997, 5, 30, tzinfo=UTC)),
    ],
    ids=["before the month", "within it"],
)
def test_an_endpoint_that_was_made_within_the_month_says_since_when(
    monkeypatch: pytest.MonkeyPatch, created: datetime, hours: float, since: datetime | None
) -> None:
    fleet = usage.Fleet(instance="ml.m5.large", count=1, created=created)
    monkeypatch.setattr(usage, "live_fleet", lambda *_: fleet)
    found = usage.serving_cost(Environment(platform=PLATFORM, client=lambda _: None), NAMES, FIRST, END)
    assert found is not None
    assert (found.hours, found.since) == (hours, since)
    assert found.usd == pytest.approx(hours * fleet.usd_per_hour)
