"""Recognises numbers with a mark beside each: a currency, a percent sign, a unit. To a contract they are text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

LOOKED_AT = 10_000
"""Number of first cells that are looked at."""
MOST_MARKED = 0.5
"""A column is reported if at least this share of its cells has a mark."""
FEW_MARKS = 3
"""Most different marks of a column. A column of more is one of codes or of words."""
NUMBER = r"[0-9](?:[0-9.,'’ \u00a0\u202f]*[0-9])?"
SIGN = r"[$€£¥₹₽₺₩%‰°]"
CURRENCY = r"(?:AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|INR|JPY|KRW|MXN|NOK|NZD|PLN|RUB|SEK|SGD|TRY|USD|ZAR)"
UNIT = r"(?!(?i:[ap]m)\b)[A-Za-zµμΩ°/%²³]{1,8}"
"""A unit stands behind a space, as directly behind the digits it may be part of a code (12a). `AM` and `PM` are left
out: 9 AM is a time."""
SPACE = r"[ \u00a0\u202f]?"
MARKED = re.compile(
    rf"^\(?[+-]?(?:(?P<before>{SIGN}|{CURRENCY}){SPACE}[+-]?(?P<first>{NUMBER})"
    rf"|(?P<second>{NUMBER})(?:{SPACE}(?P<after>{SIGN}[A-Z]?|{CURRENCY})|[ \u00a0\u202f](?P<unit>{UNIT})))\)?$"
)
SHOWN = 3


def looks_marked(known: pa.Array) -> str:
    """A remark on a column of text whose numbers have a mark beside them; "" for other texts."""
    cells: list[str] = known.drop_null()[:LOOKED_AT].to_pylist()
    found = {cell: match for cell in dict.fromkeys(cells) if (match := MARKED.match(cell.strip()))}
    # Each match has exactly one mark: before the number, behind it, or as a unit.
    marks = {match["before"] or match["after"] or match["unit"] for match in found.values()}
    if not 0 < len(marks) <= FEW_MARKS or sum(cell in found for cell in cells) < MOST_MARKED * len(cells):
        return ""
    shown = ", ".join(map(repr, list(found)[:SHOWN])) + ("…" if len(found) > SHOWN else "")
    first = next(iter(found.values()))
    return (
        f"text, as its numbers have a mark beside them: {shown}; for numbers write them without it "
        f"({first['first'] or first['second']}) and in one form in the whole file, as in all later files"
    )
