"""Twenty-seven months of the workload `air_quality`: two years of measurements, then three winter months of
predictions.

In January 2013 the air of Beijing was worse than in any month before. By March the first model's errors show it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.console.demo.driver import TWICE_A_MONTH, WORKLOADS, Action, Driver, Story
from millrace.console.demo.months import parquet

SAMPLE = WORKLOADS / "air_quality" / "sample" / "beijing_pm25.parquet"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
QUARTERS = [datetime(year, month, 1) for year in (2011, 2012) for month in (1, 4, 7, 10)]  # noqa: DTZ001 as the contract
"""The first moment of each quarter of history. The dates have no zone, as in the contract."""
LIVE = [datetime(2013, month, 1) for month in (1, 2, 3)]  # noqa: DTZ001
"""The first moment of each month of predictions."""
PAST_HOURS = 24
PAST = ("timestamp", "pm2.5", "DEWP", "TEMP", "PRES", "Iws")
"""The columns that a request carries of each of the PAST_HOURS hours before its own."""
Row = dict[str, Any]


class Hours:
    """The published hours by their time."""

    def __init__(self, sample: Path = SAMPLE) -> None:
        table = pq.read_table(sample)
        self._schema = table.schema
        self._rows: dict[datetime, Row] = {row["timestamp"]: row for row in table.to_pylist()}

    def between(self, first: datetime, end: datetime) -> list[Row]:
        """The hours from `first` on and before `end`."""
        return [row for at, row in self._rows.items() if first <= at < end]

    def parquet(self, first: datetime, end: datetime) -> bytes:
        """A Parquet file of whole rows, for the feed `training`."""
        return parquet(pa.Table.from_pylist(self.between(first, end), self._schema))

    def measured(self, first: datetime, end: datetime) -> bytes:
        """A CSV file with time and concentration of each measured hour, for the feed `labels`."""
        rows = [row for row in self.between(first, end) if row["pm2.5"] is not None]
        return _csv({name: row[name] for name in ("timestamp", "pm2.5")} for row in rows)

    def requests(self, first: datetime, end: datetime) -> list[list[Row]]:
        """One call for each day: the day's hours, each with the hours before it."""
        return [[self._request(row) for row in self.between(day, day + DAY)] for day in _days(first, end)]

    def _request(self, row: Row) -> Row:
        before = (row["timestamp"] - back * HOUR for back in range(PAST_HOURS, 0, -1))
        past = [{name: _plain(self._rows[at][name]) for name in PAST} for at in before]
        return {name: _plain(cell) for name, cell in row.items()} | {"history": past}

    def to_score(self, first: datetime, end: datetime) -> bytes:
        """A CSV file of rows for the feed `scoring`. Their past is looked up in the file and in the table."""
        return _csv(self.between(first, end))


def play(driver: Driver) -> None:
    """Two years of files, two files to score, three months with predictions, and the retraining that is due."""
    hours = Hours()
    driver.chapter("2011 and 2012: eight files with measurements", [("eight files", partial(_history, driver, hours))])
    driver.chapter("Two files to score, one after a gap", [("two files", partial(_score, driver, hours))])
    for month in LIVE:
        driver.chapter(
            f"{month:%B %Y}: predictions, measurements, two monitor runs", list(_month(driver, hours, month))
        )
    # One hour after the last monitor run.
    due = _utc(_next(LIVE[-1])) + timedelta(hours=7)
    driver.chapter("The half-yearly retraining falls due", [("an hour passes", partial(driver.clock, due))])


def _history(driver: Driver, hours: Hours) -> None:
    for first, end in zip(QUARTERS, [*QUARTERS[1:], LIVE[0]], strict=True):
        driver.put("training", f"{first:%Y}-q{(first.month + 2) // 3}.parquet", hours.parquet(first, end))


def _score(driver: Driver, hours: Hours) -> None:
    """Two files. The first goes on where the table ends; the hours before the second are not known to anybody."""
    driver.put("scoring", "first-days.csv", hours.to_score(LIVE[0], LIVE[0] + 3 * DAY))
    driver.put("scoring", "after-a-gap.csv", hours.to_score(LIVE[0] + 9 * DAY, LIVE[0] + 12 * DAY))


def _month(driver: Driver, hours: Hours, month: datetime) -> Iterator[Action]:
    """The actions of one month. A call for predictions has the hours of a day, each with its past."""
    middle, end, name = month + 14 * DAY, _next(month), f"{month:%Y-%m}"
    yield "predictions of its first half", partial(_predict, driver, hours, month, middle)
    yield "the 15th, monitor", partial(driver.clock, _utc(middle) + timedelta(hours=6))
    yield "predictions of its second half", partial(_predict, driver, hours, middle, end)
    yield "measurements", partial(driver.put, "labels", f"{name}.csv", hours.measured(month, end))
    yield "the next 1st, monitor", partial(driver.clock, _utc(end) + timedelta(hours=6))


def _predict(driver: Driver, hours: Hours, first: datetime, end: datetime) -> None:
    driver.predict(f"{first:%Y-%m}", f"{first:%Y-%m-%d} to {end - DAY:%Y-%m-%d}", hours.requests(first, end))


def _days(first: datetime, end: datetime) -> Sequence[datetime]:
    return [first + number * DAY for number in range((end - first).days)]


def _next(month: datetime) -> datetime:
    # 31 days after a first day is always within the next month.
    return (month + 31 * DAY).replace(day=1)


def _utc(at: datetime) -> datetime:
    """A time of the data, which has no zone, as the cloud's clock reads it: as UTC."""
    return at.replace(tzinfo=UTC)


def _plain(cell: Any) -> Any:
    return cell.isoformat() if isinstance(cell, datetime) else cell


def _csv(rows: Iterable[Row]) -> bytes:
    lines = [{name: _plain(cell) for name, cell in row.items()} for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]))
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode()


STORY = Story(
    workload="air_quality",
    start=_utc(LIVE[0]) + timedelta(hours=8),
    play=play,
    span="twenty-seven months",
    page="report-air_quality.html",
    note=TWICE_A_MONTH,
)
"""The story of this workload."""
