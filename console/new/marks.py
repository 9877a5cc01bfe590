"""Recognises numbers in text with something beside the digits: a percent sign, a currency, a unit, a clock."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from millrace.contract.csv_form import CsvForm
from millrace.contract.number_format import NumberFormat

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
PLAIN = re.compile(rf"^[+-]?(?P<before>)(?P<first>{NUMBER})(?P<second>)(?P<after>)(?P<unit>)$")
SHOWN = 3
CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "₹": "INR", "₽": "RUB", "₺": "TRY", "₩": "KRW"}
"""The word of each sign: a column may have both."""
POINTS = {"EUR", "BRL", "DKK", "TRY"}
"""Currencies whose thousands are usually written with points."""
SIZES: tuple[dict[str, float], ...] = (
    {"mg": 1e-6, "g": 1e-3, "kg": 1, "t": 1e3},
    {"mm": 1e-3, "cm": 1e-2, "m": 1, "km": 1e3},
    {"ml": 1e-3, "cl": 1e-2, "l": 1, "hl": 1e2},
    {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12},
    {"Wh": 1, "kWh": 1e3, "MWh": 1e6},
    {"W": 1, "kW": 1e3, "MW": 1e6},
)
"""Units of one quantity each, by their sizes: `5.2 kg` and `300 g` are numbers of one column."""
SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "Std"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
}
"""Units of a duration, in seconds."""
THOUSAND_TIMES = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "bn": 1e9, "mn": 1e6, "Mio": 1e6, "Mrd": 1e9}
"""Sizes behind the digits: `$1.2M`, `3.4k`."""
SIZED = re.compile(rf"(.*[0-9])(?:([kKMB])| ?(bn|mn|Mio|Mrd))( ?(?:{SIGN}|{CURRENCY}))?")
"""`293 K` is a temperature: single letters stand at the digits."""
_UNITS = "|".join(sorted(SECONDS, key=len, reverse=True))
SPAN = re.compile(rf"[0-9]+(?:[.,][0-9]+)? ?(?:{_UNITS})(?: ?[0-9]+(?:[.,][0-9]+)? ?(?:{_UNITS}))*")
SPAN_UNIT = re.compile(rf"[0-9] ?({_UNITS})(?![a-zA-Z])")
CLOCK = re.compile(r"[+-]?([0-9]{1,4}):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?")
THOUSANDS = re.compile(r"[0-9]{1,3}(?:([.,])[0-9]{3})+")


def find_number_format(known: pa.Array, form: CsvForm) -> tuple[NumberFormat, str, str] | None:
    """How the texts hold numbers, if nearly all of them do in one way, their unit, and a remark with a first text and
    its number; None for other texts.

    `form` is how the file's other numbers are written."""
    cells: list[str] = [cell.strip() for cell in known.drop_null()[:LOOKED_AT].to_pylist()]
    for find in (_clock, _spans, _marks):
        if found := find(cells, form):
            number_format, unit = found
            first = cells[0] if _reads(number_format, cells[0]) else next(c for c in cells if _reads(number_format, c))
            amount = number_format.plain(first)
            said = f"its numbers are written with a unit: {first!r} is {amount}{f' {unit}' if unit else ''}"
            return number_format, unit, f"{said} (`numberFormat` in contract.yaml)"
    return None


def _clock(cells: Sequence[str], _: CsvForm) -> tuple[NumberFormat, str] | None:
    """Durations and times of day such as `00:45:10`; `75:30` has minutes, as no day has so many hours."""
    found = [match for match in [CLOCK.fullmatch(cell) for cell in cells] if match]
    if not found or len(found) < len(cells) - len(cells) // 100:
        return None
    if all(match[2] for match in found):
        return NumberFormat(clock="h:mm:ss"), "s"
    if any(match[2] for match in found):
        return None
    return NumberFormat(clock="m:ss" if any(int(match[1]) > 23 for match in found) else "h:mm"), "s"


def _spans(cells: Sequence[str], _: CsvForm) -> tuple[NumberFormat, str] | None:
    """Durations such as `1h 20m`. Of one unit alone (`45 min`) the numbers stay as they are."""
    spans = [cell for cell in cells if SPAN.fullmatch(cell)]
    units = dict.fromkeys(unit for cell in dict.fromkeys(spans) for unit in SPAN_UNIT.findall(cell))
    if len({SECONDS[unit] for unit in units}) < 2 or len(spans) < len(cells) - len(cells) // 100:
        return None
    has_comma = any("," in cell for cell in spans)
    return NumberFormat(units=tuple((unit, SECONDS[unit]) for unit in units), decimal="," if has_comma else "."), "s"


def _marks(cells: Sequence[str], form: CsvForm) -> tuple[NumberFormat, str] | None:
    """Numbers with one mark, with spellings of one currency, or with units of one quantity."""
    plain, sizes = _without_sizes(cells)
    matches = [match for cell in plain if (match := MARKED.match(cell) or (PLAIN.match(cell) if sizes else None))]
    if len(matches) < MOST_MARKED * len(cells) or not matches:
        return None
    marks = Counter(mark for match in matches if (mark := match["before"] or match["after"] or match["unit"]))
    usual = marks.most_common(1)[0][0] if marks else ""
    factors = _factors(list(marks), usual) if marks else {}
    if factors is None or (not marks and "B" in sizes):  # 12B may be a room
        return None
    factors |= sizes
    digits = [match["first"] or match["second"] for match in matches]
    written = _written(digits, form, is_amount=CURRENCIES.get(usual, usual) in POINTS)
    if written is None:
        return None
    decimal, thousands = written
    return NumberFormat(units=tuple(factors.items()), decimal=decimal, thousands=thousands), usual


def _without_sizes(cells: Sequence[str]) -> tuple[Sequence[str], dict[str, float]]:
    """The cells without `k`, `M` and such behind their digits, and these with their factors.

    The cells as they are if fewer than MOST_MARKED of them have one."""
    found = {cell: match for cell in dict.fromkeys(cells) if (match := SIZED.fullmatch(cell))}
    if sum(cell in found for cell in cells) < MOST_MARKED * len(cells):
        return cells, {}
    plain = [f"{found[cell][1]}{found[cell][4] or ''}" if cell in found else cell for cell in cells]
    return plain, {name: THOUSAND_TIMES[name] for match in found.values() for name in [match[2] or match[3]]}


def _factors(marks: Sequence[str], usual: str) -> dict[str, float] | None:
    """The factor of each mark, of which the usual one has 1; None for marks that are no units of one quantity."""
    if len({CURRENCIES.get(mark, mark) for mark in marks}) == 1:
        return dict.fromkeys(marks, 1)
    for sizes in SIZES:
        if set(marks) <= sizes.keys():
            # Both sizes are powers of ten, so the quotient is written without the digits that doubles add.
            return {mark: float(f"{sizes[mark] / sizes[usual]:.12g}") for mark in marks}
    return None


def _written(digits: Sequence[str], form: CsvForm, *, is_amount: bool) -> tuple[str, str] | None:
    """The marks of the decimals and of the thousands with which all of these numbers are numbers; None if none are.

    `1,234` alone is read as the file's other numbers are, else with thousands; `1.234` with thousands only if it
    `is_amount`, of a currency that is written so."""
    spaced = [(decimal, space) for decimal in ".," for space in (" ", "\u00a0", "\u202f", "'")]
    forms = [(form.decimal, form.thousands), (".", ""), (",", ""), (".", ","), (",", "."), *spaced]
    if form.has_plain_numbers and all(THOUSANDS.fullmatch(each) for each in digits if not each.isdigit()):
        points = {match[1] for each in digits if (match := THOUSANDS.fullmatch(each))}
        forms = [*([(".", ",")] * ("," in points)), *([(",", ".")] * (is_amount and "." in points)), *forms]
    for decimal, thousands in forms:
        if all(map(re.compile(CsvForm(decimal=decimal, thousands=thousands).number).match, digits)):
            return decimal, thousands
    return None


def _reads(form: NumberFormat, text: str) -> bool:
    try:
        form.plain(text)
    except ValueError:
        return False
    return True


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
