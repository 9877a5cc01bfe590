"""When schedules are due, by the examples of AWS's pages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from localcloud.scheduler.schedule_times import next_due

FRIDAY = datetime(2026, 11, 20, 10, 7, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(15 10 * * ? *)", "2026-11-20T10:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-20T18:00"),
        ("cron(0 8 1 * ? *)", "2026-12-01T08:00"),
        ("cron(0/15 * * * ? *)", "2026-11-20T10:15"),
        ("cron(0/10 * ? * MON-FRI *)", "2026-11-20T10:10"),
        ("cron(0/5 8-17 ? * MON-FRI *)", "2026-11-20T10:10"),
        ("cron(30 0 ? * SAT,SUN *)", "2026-11-21T00:30"),
        ("cron(0 9 ? * 2#1 *)", "2026-12-07T09:00"),
        ("cron(15 10 ? * 6L 2026-2027)", "2026-11-27T10:15"),
        ("cron(0 0 L * ? *)", "2026-11-30T00:00"),
        ("cron(0 0 15W * ? *)", "2026-12-15T00:00"),
        ("cron(0 0 1W AUG ? *)", "2027-08-02T00:00"),
        ("cron(0 0 29 2 ? *)", "2028-02-29T00:00"),
        ("cron(0 0 ? * FRI-MON *)", "2026-11-21T00:00"),
        ("cron(0 12 * * ? 2030)", "2030-01-01T12:00"),
        ("at(2026-11-21T00:00:00)", "2026-11-21T00:00"),
        ("rate(1 day)", "2026-11-21T10:07:30"),
    ],
)
def test_next_due(expression: str, expected: str) -> None:
    assert next_due(expression, FRIDAY) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("expression", ["cron(0 12 * * ? 2020)", "at(2026-11-20T00:00:00)"])
def test_never_again(expression: str) -> None:
    assert next_due(expression, FRIDAY) is None


def test_a_rate_counts_from_its_start() -> None:
    start = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert next_due("rate(25 minutes)", FRIDAY, start=start) == datetime(2026, 11, 20, 10, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-07-01T00:00", "2026-07-01T00:30"),  # summer: UTC+2
        ("2026-12-01T00:00", "2026-12-01T01:30"),  # winter: UTC+1
        ("2027-03-27T02:00", "2027-03-29T00:30"),  # 02:30 does not exist on 28 March
        ("2026-10-25T00:00", "2026-10-25T00:30"),  # 02:30 comes twice: the first one
        ("2026-10-25T00:30", "2026-10-26T01:30"),  # and only that one
    ],
)
def test_time_zones(after: str, expected: str) -> None:
    found = next_due("cron(30 2 * * ? *)", datetime.fromisoformat(after).replace(tzinfo=UTC), zone="Europe/Berlin")
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("expression", ["cron(0 12 * * * *)", "cron(0 12 ? * ? *)", "cron(60 * * * ? *)", "daily"])
def test_what_cannot_be_read_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"cron|schedule"):
        next_due(expression, FRIDAY)
