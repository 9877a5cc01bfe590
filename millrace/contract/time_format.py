"""How a column's times are written: a pattern in some of the letters of Java's DateTimeFormatter, read strictly.

The standard's word is `logicalTypeOptions.format`; without it a time is ISO 8601 text. `M/d/yyyy h:mm a` reads
`7/4/2024 1:05 PM`. A text is a time only if it is exactly what the pattern writes of that time: with `MM/dd/yyyy`
none of `7/4/2024`, `07/04/24` and `02/30/2024` is a time. Without a day it is the first day of the month or quarter:
`yyyy-'Q'Q` reads `1998-Q3` as 1 July. A weekday (`EEE`) must be that of the day. A time with an offset is kept in
UTC, without the offset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import NamedTuple

from millrace.contract.kinds import Kind, parse_cell

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
SHORT_MONTHS = tuple(name[:3] for name in MONTHS)
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
CENTURY = "20"
"""The first two digits of a year that is written with two, as in DateTimeFormatter: 00 is 2000, 99 is 2099."""
HALVES = ("AM", "PM")


class Letters(NamedTuple):
    """What a run of one letter in the pattern stands for: `MM` for a month of two digits."""

    field: str
    form: str
    """The regular expression of its text, for Python and RE2, without groups."""
    is_open: bool = False
    """Whether its text has one digit or two."""


LETTERS: dict[str, Letters] = {
    **dict.fromkeys(("yyyy", "uuuu"), Letters("year", "[0-9]{4}")),
    **dict.fromkeys(("yy", "uu"), Letters("short_year", "[0-9]{2}")),
    "EEE": Letters("weekday", "|".join(WEEKDAYS)),
    "MMMM": Letters("month_name", "|".join(MONTHS)),
    "MMM": Letters("short_month_name", "|".join(SHORT_MONTHS)),
    "MM": Letters("month", "0[1-9]|1[0-2]"),
    "M": Letters("month", "1[0-2]|[1-9]", is_open=True),
    "Q": Letters("quarter", "[1-4]"),
    "dd": Letters("day", "0[1-9]|[12][0-9]|3[01]"),
    "d": Letters("day", "[12][0-9]|3[01]|[1-9]", is_open=True),
    "HH": Letters("hour", "[01][0-9]|2[0-3]"),
    "H": Letters("hour", "1[0-9]|2[0-3]|[0-9]", is_open=True),
    "hh": Letters("hour_of_half", "0[1-9]|1[0-2]"),
    "h": Letters("hour_of_half", "1[0-2]|[1-9]", is_open=True),
    "a": Letters("half", "|".join(HALVES)),
    "mm": Letters("minute", "[0-5][0-9]"),
    "m": Letters("minute", "[1-5][0-9]|[0-9]", is_open=True),
    "ss": Letters("second", "[0-5][0-9]"),
    "s": Letters("second", "[1-5][0-9]|[0-9]", is_open=True),
    **{"S" * digits: Letters("fraction", f"[0-9]{{{digits}}}") for digits in range(1, 7)},
    "XX": Letters("offset", "Z|[+-](?:0[0-9]|1[0-8])[0-5][0-9]"),
    "XXX": Letters("offset", "Z|[+-](?:0[0-9]|1[0-8]):[0-5][0-9]"),
}
FIELDS = {
    "a year (yyyy or yy)": ("year", "short_year"),
    "a month (MM, M, MMM or MMMM) or a quarter (Q)": ("month", "month_name", "short_month_name", "quarter"),
}
"""The fields that a pattern must have, one of each line, by the words that ask for it."""
CLOCK = (("hour", "hour_of_half"), ("minute",), ("second",), ("fraction",))
"""The fields of a clock; each needs the one before it."""
EXAMPLES = (datetime(2001, 2, 3, 4, 5, 6, 123456), datetime(2013, 10, 12, 11, 14, 15, 123456))  # noqa: DTZ001
"""Two times for `check`. The fields of each differ and could change places. In the first, month, day and clock have
one digit if the pattern allows it; in the second they have two."""
_PART = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z'\[\]{}#]+", re.ASCII)


@dataclass(frozen=True)
class TimeFormat:
    """How the times of a column are written. `check` says at synth whether the pattern is good."""

    pattern: str

    @cached_property
    def parts(self) -> tuple[Letters | str, ...]:
        """The pattern in parts: runs of letters, and texts that stand for themselves.

        `d 'at' HH` has the parts `d`, " ", "at", " " and `HH`. Raises ValueError for letters that are not known and for
        quotes that do not close; its message is what was expected."""
        found: list[Letters | str] = []
        at = 0
        while at < len(self.pattern):
            # The next part is a text in quotes (group 1), a run of one letter (group 2) or other characters.
            match = _PART.match(self.pattern, at)
            if match is None:
                raise ValueError(f"letters, text and quotes that close, not {self.pattern[at:]!r}")
            text = match.group()
            if match.group(2):
                if text not in LETTERS:
                    raise ValueError(f"{', '.join(LETTERS)}, and other text in single quotes, not {text!r}")
                found.append(LETTERS[text])
            else:
                found.append("'" if text == "''" else text if match.group(1) is None else _unquoted(match.group(1)))
            at = match.end()
        return tuple(found)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields in the order of the pattern, which is also the order of the groups in `form`."""
        return tuple(part.field for part in self.parts if isinstance(part, Letters))

    @cached_property
    def form(self) -> str:
        """The regular expression of a whole text, with a named group for each field."""
        parts = (f"(?P<{p.field}>{p.form})" if isinstance(p, Letters) else _escaped(p) for p in self.parts)
        return "".join(parts)

    def check(self, kind: Kind) -> None:
        """Raise ValueError unless a text in this pattern is always one `kind`, and only one time.

        The message is what was expected."""
        # The fields: a date is complete, a clock has no gap, and an offset is there if the column has a zone.
        names = self.fields
        for what, choices in FIELDS.items():
            _expect(sum(names.count(name) for name in choices) == 1, f"{what} once")
        _expect(len(set(names)) == len(names), "each field once")
        clock = [sum(names.count(name) for name in choices) for choices in CLOCK]
        _expect(max(clock) <= 1 and clock == sorted(clock, reverse=True), "an hour before a minute, a minute before …")
        _expect(not any(clock) or "day" in names, "a day (dd or d) before an hour")
        _expect("day" not in names or "quarter" not in names, "a month (MM, M, MMM or MMMM) before a day")
        _expect(("half" in names) is ("hour_of_half" in names), "h together with a (AM or PM), or H")
        _expect(kind != "date" or not (any(clock) or "offset" in names), "no time of day in a date")
        zoned = kind == "timestamp_utc"
        _expect(("offset" in names) is zoned, "an offset (XX or XXX) where timezone is true, and only there")
        first, last = self.parts[0], self.parts[-1]
        starts_with_space = isinstance(first, str) and first != first.lstrip()
        ends_with_space = isinstance(last, str) and last != last.rstrip()
        _expect(not (starts_with_space or ends_with_space), "no space around it, in quotes neither")
        # JSON may also hold times in ISO 8601. With `yyyy-dd-MM`, nobody could say whether 2024-05-06 is in May.
        is_alike = all(self._is_read_alike(self._written(at), kind) for at in EXAMPLES)
        _expect(is_alike, "yyyy-MM-dd HH:mm:ss where ISO 8601 would read the same text as another time")
        for part, following in zip(self.parts, self.parts[1:], strict=False):
            if isinstance(part, Letters) and part.is_open:
                # With `Mdyy`, a text like 11123 could be 1/11/23 or 11/1/23.
                _expect(not _may_begin_with_digit(following), "two digits (MM, dd, HH …) where another digit follows")

    def _written(self, at: datetime) -> str:
        """The time in this pattern, with UTC's offset."""
        hour = at.hour % 12 or 12
        texts = {
            "year": (f"{at.year}",),
            "quarter": (f"{(at.month + 2) // 3}",),
            "short_year": (f"{at.year % 100:02}",),
            "month_name": (MONTHS[at.month - 1],),
            "short_month_name": (SHORT_MONTHS[at.month - 1],),
            "weekday": (WEEKDAYS[at.weekday()],),
            "half": (HALVES[at.hour // 12],),
            "offset": ("Z",),
            "fraction": tuple(f"{at.microsecond:06}"[:digits] for digits in range(1, 7)),
        }
        numbers = {"month": at.month, "day": at.day, "hour": at.hour, "hour_of_half": hour}
        numbers |= {"minute": at.minute, "second": at.second}
        # Two digits or one: of the texts of a field, the first that fits the letters of the pattern is written.
        texts |= {name: (f"{number:02}", f"{number}") for name, number in numbers.items()}
        return "".join(
            part if isinstance(part, str) else next(text for text in texts[part.field] if re.fullmatch(part.form, text))
            for part in self.parts
        )

    def _is_read_alike(self, text: str, kind: Kind) -> bool:
        """Whether ISO 8601 reads the text as the same time, or does not read it at all."""
        try:
            return bool(parse_cell(text, kind) == self.parse(text, kind))
        except ValueError:
            return True

    def parse(self, text: str, kind: Kind) -> date:
        """The date or the time that the text stands for; a time with a zone is in UTC.

        Raises ValueError for a text that the pattern does not write."""
        return parse_cell(self.to_iso(text, kind), kind)  # type: ignore[no-any-return]

    def to_iso(self, text: str, kind: Kind) -> str:
        """The time as ISO text. The day need not exist: `02/30/2024` becomes `2024-02-30`.

        Raises ValueError for a text of another form."""
        match = re.fullmatch(self.form, text)
        if match is None:
            raise ValueError(text)
        found = match.groupdict()
        year = found.get("year") or f"{CENTURY}{found['short_year']}"
        day = f"{year}-{_month(found):02}-{int(found.get('day') or 1):02}"
        if "weekday" in found and WEEKDAYS[date.fromisoformat(day).weekday()] != found["weekday"]:
            raise ValueError(text)
        if kind == "date":
            return day
        clock = f"{_hour(found):02}:{int(found.get('minute') or 0):02}:{int(found.get('second') or 0):02}"
        fraction = f".{found['fraction']}" if found.get("fraction") else ""
        return f"{day}T{clock}{fraction}{found.get('offset') or ''}"


def _month(found: dict[str, str]) -> int:
    if name := found.get("month_name"):
        return MONTHS.index(name) + 1
    if name := found.get("short_month_name"):
        return SHORT_MONTHS.index(name) + 1
    if quarter := found.get("quarter"):
        return 3 * int(quarter) - 2
    return int(found["month"])


def _hour(found: dict[str, str]) -> int:
    if hour := found.get("hour_of_half"):
        return int(hour) % 12 + 12 * HALVES.index(found["half"])  # 12 AM is 0, 12 PM is 12
    return int(found.get("hour") or 0)


def _unquoted(text: str) -> str:
    return text.replace("''", "'")


def _escaped(text: str) -> str:
    """The text as a regular expression that Python and RE2 read alike."""
    return re.sub(r"([^A-Za-z0-9\s\x80-\U0010ffff])", r"\\\1", text)


def _may_begin_with_digit(part: Letters | str) -> bool:
    if isinstance(part, str):
        return part[:1].isdigit()
    return part.field not in ("weekday", "month_name", "short_month_name", "half", "offset")


def _expect(is_good: bool, expected: str) -> None:
    if not is_good:
        raise ValueError(expected)
