"""Write numbers, dates and lists as people write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, field, fields
from datetime import date, datetime, timedelta
from typing import Any

from millrace.tasks.figures import short
from millrace.timestamps import parse_utc

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def count(number: int, noun: str) -> str:
    """A number with its noun: `eight files`, `one file`, `17 windows`."""
    return f"{spelled_number(number)} {noun}{'' if number == 1 else 's'}"


def spelled_number(number: int) -> str:
    """A number up to twelve as a word, else in digits: `eight`, `one`, `17`."""
    return NUMBERS[number] if number < len(NUMBERS) else f"{number:,}"


def listed(names: Sequence[str]) -> str:
    """Identifiers as a list: `calibration, latency and non-inferiority`."""
    spoken = [spelled(name) for name in names]
    return " and ".join([", ".join(spoken[:-1]), spoken[-1]] if len(spoken) > 1 else spoken)


def first_few(names: Sequence[str], most: int, between: str = ", ") -> str:
    """The first names: `a.csv, b.csv, c.csv and 21 more`."""
    return between.join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def spelled(identifier: str) -> str:
    """An identifier in words: `non-inferiority`, `input drift`, `cool-down`."""
    return {"non_inferiority": "non-inferiority", "cool_down": "cool-down"}.get(identifier) or (
        identifier.replace("_", " ").replace("-", " ")
    )


def times(ratio: float) -> str:
    """A ratio to a bound: `224`, or `0.46` below 10."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2f}"


def figure(value: float) -> str:
    """A figure of any size: `0.915`, `93.62`, `1205`, `94,180`."""
    return f"{round(value, 3) + 0.0:.3f}" if abs(value) < 10 else short(value)  # + 0.0: no "-0.000"


def units(number: float) -> str:
    """A count or a measured amount: `4,343`, `44`, `0.795`."""
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.3g}"


def usd(amount: float) -> str:
    """An amount in US dollars: `599.37`, `< 0.01`."""
    return f"{amount:,.2f}" if amount >= 0.01 or amount == 0 else "< 0.01"


def day(at: date) -> str:
    """A date: `1 July 1997`."""
    return f"{at:%-d %B %Y}"


def age(since: timedelta) -> str:
    """A span of time in its largest unit: `40 s`, `12 min`, `5 h`, `3 days`."""
    seconds = max(since.total_seconds(), 0)
    for limit, size, unit in ((100, 1, "s"), (6000, 60, "min"), (2 * 86400, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def last_day(end: date) -> str:
    """The last day of a span, which does not include `end`: `30 April 1997` for midnight of 1 May."""
    return day(_last_moment(end))


def days(start: str, end: str) -> str:
    """The first and the last day of a span, `1997-04-01 to 1997-04-30`.

    `start` and `end` are moments in ISO 8601; `end` is not part of the span."""
    return _span(f"{parse_utc(start):%Y-%m-%d}", f"{_last_moment(parse_utc(end)):%Y-%m-%d}")


def span(start: str, end: str) -> str:
    """The same days as `days` has, for a sentence: `1 April 1997 to 30 April 1997`."""
    return _span(day(parse_utc(start)), last_day(parse_utc(end)))


def _span(first: str, last: str) -> str:
    """Both days; a single day is written once."""
    return first if first == last else f"{first} to {last}"


def _last_moment(end: date) -> date:
    """The last moment before `end`, or the last day if `end` is a date."""
    return end - (timedelta(microseconds=1) if isinstance(end, datetime) else timedelta(days=1))


def brief(text: str) -> str:
    """A URI or ARN without its bucket or account, with version id and run name cut short:
    `training/1996-05.parquet?versionId=5f2a…`."""
    text = re.sub(r"s3://[^/]+/", "", text)
    text = re.sub(r"arn:aws:sagemaker:[^:]*:\d*:", "", text)
    text = re.sub(r"(/run=[^/]{8})[^/]*", r"\1…", text)
    return re.sub(r"(\?versionId=.{8}).*", r"\1…", text)


def column(
    form: Callable[[Any], Any] | None = None, *, heading: str | None = None, first: bool = False, default: Any = MISSING
) -> Any:
    """A field of a dataclass that is a column of tables; its cells are `form` of its values, "" for None.

    Without a heading it is headed by its name. A mark stands `first`, wherever its field does."""
    return field(default=default, metadata={"heading": heading, "form": form or (lambda value: value), "first": first})


def cells(row: Any) -> dict[str, Any]:
    """The row's cells by heading."""
    declared = [each for each in fields(row) if "form" in each.metadata]
    found = dict[str, Any]()
    for each in sorted(declared, key=lambda each: not each.metadata["first"]):
        heading, value = each.metadata["heading"], getattr(row, each.name)
        found[each.name if heading is None else heading] = "" if value is None else each.metadata["form"](value)
    return found


def table(rows: Iterable[Any]) -> list[Mapping[str, Any]]:
    """The cells of all rows, without the columns that are empty in each of them."""
    found = [cells(row) for row in rows]
    filled = {heading for row in found for heading, cell in row.items() if cell != ""}
    return [{heading: cell for heading, cell in row.items() if heading in filled} for row in found]
