"""How a column's numbers are written in text, with a unit, a currency or a clock beside the digits.

The custom property `numberFormat` says it: with `{units: {"€": 1}, decimal: ",", thousands: "."}` the text
`1.234,56 €` is 1234.56, with `{units: {h: 3600, m: 60}}` the text `1h 20m` is 4800, and with `{clock: "h:mm:ss"}` the
text `00:45:10` is 2710. A number without a unit is read as it is, in files and in requests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from millrace.contract.csv_form import DECIMALS, THOUSANDS

CLOCKS = {"h:mm:ss": (3600, 60, 1), "h:mm": (3600, 60), "m:ss": (60, 1)}
"""The seconds of each field of a clock. The first field has any number of digits, the others have two."""
SPACE = "[ \u00a0\u202f]*"
MOST_CHARACTERS = 100
"""A longer text is not a number: of a thousand digits nobody means each."""


@dataclass(frozen=True, kw_only=True)
class NumberFormat:
    """How the numbers of a column are written. Texts are read by Python in drops and requests alike."""

    units: tuple[tuple[str, float], ...] = ()
    """The marks before or behind a number, each with the factor of its numbers: `(("kg", 1), ("g", 0.001))`."""
    decimal: str = "."
    thousands: str = ""
    clock: str = ""
    """One of CLOCKS, for durations in seconds; empty for other numbers."""

    def plain(self, text: str) -> str:
        """The number as JSON writes it: `1234.56`. Raises ValueError for a text that is not in this form."""
        trimmed = text.strip(" \u00a0\u202f")
        if len(trimmed) > MOST_CHARACTERS:
            raise ValueError(text)
        if self.clock and (match := self._clock.fullmatch(trimmed)):
            sign, fields, fraction = match["sign"], match["fields"].split(":"), match["fraction"] or ""
            seconds = sum(int(field) * of for field, of in zip(fields, CLOCKS[self.clock], strict=True))
            return f"{sign.strip('+')}{seconds}{fraction}"
        # People also write `$-5`: the sign goes before the mark.
        match = self._number.fullmatch(re.sub(f"^((?:{self._names}){SPACE})([\u2212-])", r"\2\1", trimmed))
        if match is None:
            raise ValueError(text)
        is_negative = "-" in match["sign"] or "−" in match["sign"] or bool(match["open"])
        parts = [each.groupdict() for each in self._part.finditer(match["parts"])]
        amounts = [(self._digits(part["number"]), self._factor(part)) for part in parts]
        # Two marks of one number differ (`$1.2M`), and of several numbers each has one.
        marks = [bool(part["before"]) + bool(part["after"]) for part in parts]
        same = any(self._mark(part["before"]) == self._mark(part["after"]) != "" for part in parts)
        if same or (len(marks) > 1 and {*marks} != {1}):
            raise ValueError(text)
        if len(amounts) == 1 and amounts[0][1] == 1:
            return f"{'-' * is_negative}{amounts[0][0]}"
        total = sum((Decimal(digits) * Decimal(str(factor)) for digits, factor in amounts), Decimal())
        exact = f"{total.normalize():f}"
        return f"{'-' * is_negative}{exact}"

    def value_of(self, text: str) -> int | float:
        """The number: an integer if it has only digits, else a float. Raises ValueError as `plain`."""
        plain = self.plain(text)
        return float(plain) if "." in plain else int(plain)

    @property
    def form(self) -> str:
        """What a cell must be, for people: `a number such as 1.234,5 €`."""
        if self.clock:
            return f"a duration written as {self.clock}"
        written = f"1{self.thousands}234{self.decimal}5"
        marks = " or ".join(name for name, _ in self.units)
        return f"a number such as {written} {marks}".rstrip()

    @cached_property
    def _clock(self) -> re.Pattern[str]:
        fields = "[0-9]{1,6}" + ":[0-5][0-9]" * (len(CLOCKS[self.clock]) - 1)
        fraction = "[.][0-9]{1,9}" if self.clock.endswith("ss") else "(?!)"
        return re.compile(f"(?P<sign>[+-]?)(?P<fields>{fields})(?P<fraction>{fraction})?")

    @cached_property
    def _names(self) -> str:
        # A longer mark first, so that `m` does not take the start of `min`.
        return "|".join(re.escape(name) for name, _ in sorted(self.units, key=lambda unit: -len(unit[0]))) or "(?!)"

    @cached_property
    def _part(self) -> re.Pattern[str]:
        point, mark = re.escape(self.decimal), re.escape(self.thousands)
        whole = f"(?:[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|[0-9]+)" if mark else "[0-9]+"
        number = f"(?P<number>{whole}(?:{point}[0-9]+)?|{point}[0-9]+)"
        names = self._names
        return re.compile(f"(?P<before>(?:{names}){SPACE})?{number}(?P<after>{SPACE}(?:{names}))?")

    @cached_property
    def _number(self) -> re.Pattern[str]:
        # Several parts are for units of several sizes: `1 h 20 min`. Each then has its unit. They are parted in one way
        # only, `(?>`: tries of all others double with each digit or two of a text that is no number.
        part = re.sub(r"\?P<[a-z]+>", "?:", self._part.pattern)
        several = f"(?:{SPACE}{part})*" if len({factor for _, factor in self.units}) > 1 else ""
        sign = f"(?P<sign>[+\u2212-]?){SPACE}"
        return re.compile(f"(?P<open>\\()?{sign}(?P<parts>(?>{part}{several}))(?(open)\\)|)")

    def _digits(self, number: str) -> str:
        whole = number.replace(self.thousands, "") if self.thousands else number
        plain = whole.replace(self.decimal, ".")
        return f"0{plain}" if plain.startswith(".") else plain

    def _factor(self, part: Mapping[str, str | None]) -> float:
        before, after = (self._factors.get(self._mark(part[side]), 1) for side in ("before", "after"))
        return before * after

    def _mark(self, text: str | None) -> str:
        return (text or "").strip(" \u00a0\u202f")

    @cached_property
    def _factors(self) -> dict[str, float]:
        return dict(self.units)


def read_number_format(value: object) -> NumberFormat:
    """The format that a contract declares. Raises ValueError for another value; its message is what was expected."""
    known = {"units", "decimal", "thousands", "clock"}
    if not isinstance(value, Mapping) or not value or not set(value) <= known:
        raise ValueError(f"a mapping with {', '.join(sorted(known))}")
    given: dict[str, Any] = dict(value)
    units = given.pop("units", {})
    if not isinstance(units, Mapping) or not all(map(_is_unit, units.items())):
        raise ValueError("units: a factor above 0 for each mark, and no mark with digits, signs or spaces around it")
    for name, allowed in {"decimal": DECIMALS, "thousands": THOUSANDS, "clock": ("", *CLOCKS)}.items():
        if name in given and given[name] not in allowed:
            raise ValueError(f"{name}: one of {', '.join(map(repr, allowed))}")
    found = NumberFormat(units=tuple(units.items()), **given)
    if found.decimal == found.thousands:
        raise ValueError("decimal and thousands that differ")
    if found.clock and units:
        raise ValueError("units or a clock")
    return found


def _is_unit(unit: tuple[object, object]) -> bool:
    name, factor = unit
    is_mark = isinstance(name, str) and re.fullmatch(r"[^\d\s.,:()+\u2212-](?:[^\d(]*[^\d\s(+\u2212-])?", name)
    return bool(is_mark) and isinstance(factor, int | float) and not isinstance(factor, bool) and 0 < factor < 1e300
