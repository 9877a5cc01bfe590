"""Times of a clock with daylight saving, written without their offset, are told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from console.new.columns import Observed, observe
from console.new.times import looks_like_local_time
from millrace.errors import ConfigurationError
from tests.console.new.conftest import Row, proposed

Writer = Callable[..., Path]


def local(start: str, *, zone: str = "Europe/Berlin", days: int = 60, minutes: int = 60, meters: int = 1) -> list[str]:
    """Times of a clock, without their offset."""
    first, steps = datetime.fromisoformat(start).replace(tzinfo=UTC), days * 24 * 60 // minutes
    times = [(first + timedelta(minutes=minutes * at)).astimezone(ZoneInfo(zone)) for at in range(steps)]
    return [f"{time:%Y-%m-%d %H:%M}" for time in times for _ in range(meters)]


def told(times: Sequence[str]) -> str:
    found = observe("time", pa.chunked_array([pa.array(times)]), typed_text=True)
    assert isinstance(found, Observed)
    return looks_like_local_time(found)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (local("2023-10-01"), "the hour 2023-10-29 02:00 comes twice (data rows 673, 674)"),
        (local("2024-03-01"), "the hour 2024-03-31 02:00 does not come;"),
        (local("2024-10-15", zone="America/New_York"), "the hour 2024-11-03 01:00 comes twice"),
        (local("2024-03-20", zone="Australia/Sydney"), "the hour 2024-04-07 02:00 comes twice"),
        (local("2023-10-01", zone="Europe/London"), "the hour 2023-10-29 01:00 comes twice"),
        (local("2023-10-01", minutes=15), "(data rows 2,689, 2,690, 2,691, 2,692 and 4 more)"),
        (local("2023-10-01", meters=5), "the hour 2023-10-29 02:00 comes twice (data rows 3,361, 3,362"),
        (
            local("2023-10-01", days=200),
            "the hour 2023-10-29 02:00 comes twice (data rows 673, 674), the hour 2024-03-31 02:00 does not come;",
        ),
    ],
    ids=["autumn", "spring", "New York", "Sydney", "London", "quarters", "meters", "winter"],
)
def test_a_change_of_the_clock_is_told(times: list[str], said: str) -> None:
    found = told(times)
    assert found.startswith("looks like local time with daylight saving: the hour ")
    assert said in found
    assert found.endswith("with UTC or the offset in the text (2024-10-27T02:00:00+02:00) each time comes once")


def test_other_times_are_not() -> None:
    steady = local("2023-10-01", zone="UTC", days=200)
    rng = np.random.default_rng(0)
    assert told(steady) == ""
    assert told(local("2023-10-01", zone="Etc/GMT-1", days=200)) == ""
    assert told(local("2023-12-01")) == "", "no change in these days"
    assert told([f"{time}+02:00" for time in local("2023-10-01")]) == "", "with an offset"
    assert told([time for at, time in enumerate(steady) if at % 101]) == "", "gaps anywhere"
    assert told(sorted([*steady, *steady[::101]])) == "", "repeated anywhere"
    assert told(sorted(steady[at] for at in rng.integers(0, len(steady), 9000))) == "", "events, no series"
    assert told([time[:10] for time in steady]) == "", "days"


def test_it_is_told_with_and_without_a_key(market: list[Row], as_csv: Writer) -> None:
    """Without a key the hour would come in twice without a word."""
    times = local("2023-10-20", minutes=30, days=40)
    rows = [row | {"Half hour": time} for row, time in zip(market, times, strict=True)]
    rows = [{name: cell for name, cell in row.items() if name not in ("demand", "Day.of week")} for row in rows]
    said = "Half hour: looks like local time with daylight saving: the hour 2023-10-29 02:00 comes twice (data rows "
    with pytest.raises(ConfigurationError, match=r"key: expected --key .*; Half hour: looks like local time"):
        proposed(as_csv(rows))
    assert any(note.startswith(said) for note in proposed(as_csv(rows), has_no_key=True).notes)
