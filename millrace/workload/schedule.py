"""How often a schedule of EventBridge is due.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html"""

from __future__ import annotations

import calendar
import re
from math import ceil

MONTH_HOURS = 730
"""An average month: 365 days in 12 months."""
DAYS = MONTH_HOURS / 24
HOURS_OF = {"MINUTE": 1 / 60, "HOUR": 1, "DAY": 24, "WEEK": 168}
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
NUMBERS = {name.upper(): number for number, name in enumerate(calendar.month_abbr)}
NUMBERS |= {name: number for number, name in enumerate(WEEKDAYS, start=1)}


def times_a_month(expression: str) -> float:
    """How often a `cron(…)` or `rate(…)` is due in an average month; 0 for an `at(…)`.

    `cron(0 6 1,15 * ? *)` is due twice, `rate(1 hour)` 730 times."""
    kind, *fields = re.findall(r"[^\s()]+", expression.upper())
    if kind == "RATE":
        return MONTH_HOURS / int(fields[0]) / HOURS_OF[fields[1].removesuffix("S")]
    if kind != "CRON":
        return 0.0
    minutes, hours, days, months, weekdays, _ = fields
    # `2#1` and `6L` are one day of a month, `MON` and `L` are one of a week.
    named = sum(
        1 if "#" in part or part[1:].endswith("L") else _values(part, 7) * DAYS / 7 for part in weekdays.split(",")
    )
    due = named if days == "?" else _values(days, DAYS)
    return due * _values(minutes, 60) * _values(hours, 24) * _values(months, 12) / 12


def _values(field: str, most: float) -> float:
    """How many of `most` values a field names: `*`, `5,10`, `8-17`, `MON-FRI`, `0/15`; `L` and `15W` are one."""
    found = 0.0
    for first, last, step in re.findall(r"([^,/-]+)(?:-(\w+))?(?:/(\d+))?", field):
        size = most if first == "*" else 1
        if last and first != "L":
            size = (_number(last) - _number(first)) % most + 1
        elif step and first != "*":
            size = most - _number(first) + (most not in (24, 60))  # days and months begin at 1
        found += ceil(size / int(step)) if step else size
    return min(found, most)


def _number(text: str) -> int:
    return NUMBERS.get(text) or int(text)
