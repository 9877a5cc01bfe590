"""How a table's CSV files are written. Without a declaration it is with commas, decimal points and in UTF-8."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

DELIMITERS = (",", ";", "\t", "|")
QUOTES = ('"', "'", "")
ENCODINGS = ("utf-8", "cp1252", "latin-1")
DECIMALS = (".", ",")
THOUSANDS = ("", ".", ",", "'", " ", "\u00a0", "\u202f")


def numbered(names: Sequence[str]) -> list[str]:
    """The names, each once: `a`, `b`, `a` become `a`, `b`, `a_2`. Of several that are empty each has its place:
    `column_3`."""
    found, seen = list[str](), Counter[str]()
    for place, name in enumerate(names, 1):
        seen[name] += 1
        again = f"{name}_{seen[name]}" if seen[name] > 1 else name
        found.append(f"column_{place}" if not name and names.count("") > 1 else again)
    return found


@dataclass(frozen=True, kw_only=True)
class CsvForm:
    """The custom property `csv` of a table, for example `{delimiter: ";", decimal: ",", thousands: "."}`."""

    delimiter: str = ","
    quote: str = '"'
    """Empty if a quotation mark is a character like any other."""
    encoding: str = "utf-8"
    decimal: str = "."
    """The mark before the decimals of a number."""
    thousands: str = ""
    """The mark between each three digits of the whole part. A number has all of its marks or none: with `,`,
    `1,234,567` and `1234567` are numbers, `1,234567` is not."""
    columns: tuple[str, ...] = ()
    """The names of all cells of a line, in order, for files without a line of names."""

    @cached_property
    def number(self) -> str:
        """The regular expression of a number: also `1.5e3`, `nan` and `inf`, but no currency and no percent sign."""
        # The whole part has a mark before each three digits, or no mark at all.
        point, mark = re.escape(self.decimal), re.escape(self.thousands)
        whole = f"(?:[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|[0-9]+)" if mark else "[0-9]+"
        return f"^[+-]?(?:(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))$"

    def value_of(self, text: str) -> float | None:
        """The number that the text is: an integer of any size if it has only digits, else a float.

        None for NaN and for a text that is no number."""
        if not re.match(self.number, text):
            return None
        plain = text.replace(self.thousands, "").replace(self.decimal, ".")
        with suppress(ValueError):
            return int(plain)
        value = float(plain)
        return None if value != value else value  # only NaN differs from itself

    @property
    def has_plain_numbers(self) -> bool:
        """Whether numbers are written as JSON and Arrow write them: `1234.5`."""
        return self.decimal == "." and not self.thousands


def read_csv_form(value: object) -> CsvForm:
    """The form that a contract declares. Raises ValueError for another value; its message is what was expected."""
    known = {field.name for field in fields(CsvForm)}
    if not isinstance(value, Mapping) or not set(value) <= known:
        raise ValueError(f"a mapping with {', '.join(sorted(known))}")
    choices = {
        "delimiter": DELIMITERS,
        "quote": QUOTES,
        "encoding": ENCODINGS,
        "decimal": DECIMALS,
        "thousands": THOUSANDS,
    }
    given: dict[str, Any] = dict(value)
    for name, allowed in choices.items():
        if name in given and given[name] not in allowed:
            raise ValueError(f"{name}: one of {', '.join(map(repr, allowed))}")
    if "columns" in given:
        given["columns"] = read_words(given["columns"])
        if not given["columns"] or len(set(given["columns"])) < len(given["columns"]):
            raise ValueError("columns: names that differ")
    form = CsvForm(**given)
    # Without quotes nothing protects a delimiter within a number, so then the delimiter must differ too.
    marks = [form.decimal, form.thousands, form.quote, *([] if form.quote else [form.delimiter])]
    if len(set(filter(None, marks))) < len(list(filter(None, marks))):
        raise ValueError("decimal, thousands and quote that differ, and without quotes from the delimiter")
    return form


def read_words(value: object, *, as_they_are: bool = False) -> tuple[str, ...]:
    """The list of texts, each of them once. Raises ValueError for another value; its message is what was expected.

    Cells are compared without the spaces around them, so a text with spaces around it would match no cell and is
    refused. Names of Parquet columns are compared with their spaces: `as_they_are` allows them."""
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError("a list of texts (in quotation marks where YAML takes them for other values: 'no', '1', '')")
    if not as_they_are and any(word != word.strip() for word in value):
        raise ValueError("texts without spaces around them")
    if len(set(value)) < len(value):
        raise ValueError("each text once")
    return tuple(value)


OWNER = "that of the workload"
"""The owner of an input whose contract names none."""
MOST_OWNER = 40
"""The most characters of an owner: the state of an execution names it for each drop."""


def owner_of(document: Mapping[str, Any]) -> str:
    """The name of the team and the first channel of support: `market desk, mailto:desk@market.example`."""
    team, (support, *_) = document.get("team") or {}, document.get("support") or [{}]
    name = team.get("name") if isinstance(team, dict) else ""  # a list of people is the form of version 3.0
    return ", ".join(filter(None, (name, support.get("url") or support.get("channel")))) or OWNER


def read_repair(value: object) -> Mapping[str, str | None]:
    """The texts of `repair: {map: …}`. Raises ValueError, with what was expected, for another value."""
    found = value["map"] if isinstance(value, Mapping) and [*value] == ["map"] else None
    if not isinstance(found, Mapping) or not {*map(type, found)} == {str} >= {*map(type, found.values())} - {
        type(None)
    }:
        raise ValueError("{map: …} of texts, each to a text, or to null if nothing is known")
    return found


def read_truth(value: object) -> bool:
    """The value, if it is a truth. Raises ValueError, with what was expected, for another one."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value
