"""Fourteen months of the workload `electricity`: eight with labels, then six with predictions and late labels.

In May an alarm trains version 2. It answers half of the requests of two days, and then all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from millrace.console.demo.driver import TWICE_A_MONTH, Action, Driver, Story
from millrace.console.demo.months import HISTORY, SAMPLE, Month, file_to_score, months

Rows = list[dict[str, object]]
CANARY, CANARY_DAYS = "1997-05", 2
"""The month in whose middle the canary of version 2 begins, and the days that it takes."""


def play(driver: Driver) -> None:
    """Eight files of history, a file to score, six months with predictions, and the retraining that is due."""
    history = months(SAMPLE, *HISTORY)
    live = months(SAMPLE, "1997-01", "1997-06")
    drops, week = (
        partial(_drop_all, driver, history),
        partial(driver.put, "scoring", "week.csv", file_to_score(live[0])),
    )
    driver.chapter("May to December 1996: eight files with labels", [("eight files", drops)])
    driver.chapter("A file to score", [("one file", week)])
    for month in live:
        driver.chapter(f"{month.first:%B %Y}: predictions, labels, two monitor runs", _month(driver, month))
    schedule = live[-1].next_first + timedelta(hours=7)
    driver.chapter("The half-yearly retraining falls due", [("an hour passes", partial(driver.clock, schedule))])


def _drop_all(driver: Driver, history: Sequence[Month]) -> None:
    for month in history:
        driver.put("training", f"{month.name}.parquet", month.drop())


def _month(driver: Driver, month: Month) -> list[Action]:
    """The actions of one month."""
    days = list(month.days())
    middle = month.first + timedelta(days=14)
    # The number of days before the 15th. Times in ISO 8601 compare as text.
    until = sum(day[0]["timestamp"] < f"{middle:%Y-%m-%d}" for day in days)
    alone = until + (CANARY_DAYS if month.name == CANARY else 0)
    return [
        ("predictions of its first half", partial(_predict, driver, month, days[:until])),
        ("the 15th, monitor", partial(driver.clock, middle + timedelta(hours=6))),
        *(_canary(driver, month, days[until:alone]) if alone > until else ()),
        ("predictions of its second half", partial(_predict, driver, month, days[alone:])),
        ("labels", partial(driver.put, "labels", f"{month.name}.csv", month.labels())),
        ("the next 1st, monitor", partial(driver.clock, month.next_first + timedelta(hours=6))),
    ]


def _canary(driver: Driver, month: Month, days: list[Rows]) -> list[Action]:
    """Requests as the market makes them, one in a half hour: half of them are answered by the new version."""
    requests = [[row] for day in days for row in day]
    what, end = f"{len(requests)} half hours", month.first + timedelta(days=14 + len(days), hours=9)
    return [
        ("a request in each half hour", partial(driver.predict, month.name, what, requests)),
        ("the canary's end", partial(driver.clock, end)),
    ]


def _predict(driver: Driver, month: Month, days: list[Rows]) -> None:
    """One call for predictions with the rows of these days, in the published order."""
    first, last = (str(day[0]["timestamp"])[:10] for day in (days[0], days[-1]))
    driver.predict(month.name, f"{first} to {last}", [[row for day in days for row in day]])


STORY = Story(
    workload="electricity",
    start=datetime.fromisoformat("1997-01-01T08:00:00+00:00"),
    play=play,
    span="fourteen months",
    page="report.html",
    note=TWICE_A_MONTH,
)
"""The story of this workload."""
