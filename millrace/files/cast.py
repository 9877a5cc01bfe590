"""Turns the cells of a file into the types of the contract's columns: texts are read, values are cast.

A cell that is not of its column's type is reported by its position, so it is never lost in silence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.contract.csv_form import CsvForm
from millrace.contract.kinds import FLOATS, INTEGERS, NUMBERS, Kind, arrow_type, from_base64, to_float
from millrace.contract.number_format import NumberFormat
from millrace.contract.parts import cells_of
from millrace.contract.schema import Column
from millrace.contract.time_format import CENTURY, HALVES, MONTHS, SHORT_MONTHS, WEEKDAYS, TimeFormat

DAY_US = 86_400_000_000
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""How many of each unit of Arrow's times a second has."""
FIRST_DAY, LAST_DAY = (day.toordinal() - date(1970, 1, 1).toordinal() for day in (date.min, date.max))
"""Python's first and last day, in days since 1970-01-01, as Arrow counts them."""
DAY = (
    r"([0-9]{4}-(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|[0-9]{4}-(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    r"|[0-9]{4}-02-(0[1-9]|1[0-9]|2[0-8])"
    r"|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
)
"""The regular expression of every day that exists, and of no other: the last line is 29 February of leap years."""
CLOCK = r"[ T]([01][0-9]|2[0-3])(:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?)?"
ZONE = r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)"
NUMBER = r"^[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))$"


def _whole(limit: int) -> str:
    """The regular expression of the whole numbers from -limit to limit - 1."""

    def up_to(largest: str) -> str:
        # The number itself, any number of fewer digits, or one that is smaller at the first digit that differs.
        below = [
            f"{largest[:at]}[0-{int(digit) - 1}][0-9]{{{len(largest) - at - 1}}}"
            for at, digit in enumerate(largest)
            if digit != "0"
        ]
        return "|".join([largest, f"[0-9]{{1,{len(largest) - 1}}}", *below])

    return rf"^(\+?0*({up_to(str(limit - 1))})|-0*({up_to(str(limit))}))$"


PLAUSIBLE: dict[Kind, str] = {
    **{kind: _whole(limit) for kind, limit in INTEGERS.items()},
    "float32": NUMBER,
    "float64": NUMBER,
    "date": f"^{DAY}$",
    "timestamp": rf"^{DAY}({CLOCK})?$",
    "timestamp_utc": rf"^{DAY}{CLOCK}{ZONE}$",
    "boolean": r"^(?i:true|false|0|1)$",
}
"""The regular expression of the texts that Arrow reads for each kind.

Arrow's cast only says that some text is wrong, not which, and to search for it by casts is slow."""


def from_csv(cells: pa.Array, column: Column, form: CsvForm) -> tuple[pa.Array, list[int]]:
    """The typed column, and the positions of texts that are not of its type (null there).

    Spaces around a cell do not count. An empty cell and a word for missing cells are null."""
    trimmed = pc.ascii_trim_whitespace(cells)
    known = without(trimmed, ["", *column.missing_words])
    if column.time_format:
        rewritten = from_format(known, column.time_format, column.kind)
        typed, wrong = _read_again(known, rewritten, partial(from_text, kind=column.kind))
        return without(typed, column.missing_times), wrong
    if column.number_format:
        return numbers_in_format(known, column)
    if column.kind not in NUMBERS:
        typed, wrong = from_text(with_mapped(known, column) if column.mapped else known, column.kind)
        return without(typed, column.missing_times), wrong
    plain = known if form.has_plain_numbers else _plain_numbers(known, form)
    typed, wrong = _read_again(known, plain, partial(numbers_from_text, column=column))
    # In a column of whole numbers -999.0 is no number of the type, but if -999 stands for a missing cell, it does too.
    return typed, [at for at in wrong if form.value_of(known[at].as_py()) not in column.missing_numbers]


def own_texts(cells: Sequence[Any], columns: Sequence[Column]) -> Iterator[tuple[Column, pa.Array]]:
    """The texts that each of these columns has of cells that they share: lists, or texts as CSV has them.

    A missing cell is null in all columns; each different text is split once."""
    # A list cannot be looked up: it counts as a text that no other cell has.
    texts = [cell.strip() if isinstance(cell, str) else cell for cell in cells]
    keys = [at if isinstance(cell, list) else cell for at, cell in enumerate(texts)]
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    each = [_own_texts(texts[key] if type(key) is int else key, columns) for key in places]
    indices = pa.array([places[key] for key in keys], pa.int64())
    for column, own in zip(columns, zip(*each, strict=True), strict=True):
        yield column, pa.array(own, pa.string()).take(indices)


def _own_texts(cell: Any, columns: Sequence[Column]) -> list[str | None]:
    """The texts of one cell; of what is no list the cell itself in each column, where it is of a wrong type."""
    if isinstance(cell, str) and cell in columns[0].missing_words:
        return [None] * len(columns)
    try:
        found = cells_of(cell, [column.part for column in columns if column.part])
    except ValueError:
        return [str(cell)] * len(columns)
    return [None if own is None else str(int(own) if isinstance(own, bool) else own) for own in found]


def numbers_in_format(cells: pa.Array, column: Column) -> tuple[pa.Array, list[int]]:
    """As `numbers_from_text`, for texts in the column's own format: `12 %`, `1.234,56 €`, `1h 20m`."""
    # Each different text once, by the reader that requests use.
    words, form = cells.dictionary_encode(), column.number_format or NumberFormat()
    plain = pa.array([_plain(word, form) for word in words.dictionary.to_pylist()], pa.string()).take(words.indices)
    return _read_again(cells, plain, partial(numbers_from_text, column=column))


def _plain(text: str, form: NumberFormat) -> str | None:
    """The number as JSON writes it; None for a text that is none."""
    with suppress(ValueError):
        return form.plain(text)
    return None


def numbers_from_text(cells: pa.Array, column: Column) -> tuple[pa.Array, list[int]]:
    """The typed column of numbers, and the positions of texts that are not of its type (null there).

    A number that stands for a missing cell is null. It is found before numbers are rounded to float32, as in JSON."""
    typed, wrong = from_text(cells, "float64" if column.kind in FLOATS else column.kind)
    return without_numbers(typed, column).cast(arrow_type(column.kind)), wrong


def from_json(cells: pa.Array, column: Column) -> tuple[pa.Array, list[int]]:
    """As `from_csv`, for texts in JSON: times may also be in ISO 8601, and spaces count."""
    if column.time_format:
        cells = pc.coalesce(from_format(cells, column.time_format, column.kind), cells)
    return from_text(cells, column.kind)


def without_numbers(cells: pa.Array, column: Column) -> pa.Array:
    """The numbers, of any type, with null for a number that stands for a missing cell."""
    if not column.missing_numbers:
        return cells
    if column.kind in INTEGERS and pa.types.is_integer(cells.type):
        # Whole numbers are compared as such: float64 would make neighbours beyond 2**53 equal.
        limits = np.iinfo(cells.type.to_pandas_dtype())
        wanted = sorted(
            {int(one) for one in column.missing_numbers if limits.min <= one <= limits.max and one % 1 == 0}
        )
        missing = pc.is_in(cells, value_set=pa.array(wanted, cells.type))
    else:
        # In a column of whole numbers, only missing numbers count that float64 holds exactly. Adding 0.0 makes -0.0 to
        # 0.0, since `is_in` takes them for two numbers.
        near = sorted({float(one) for one in column.missing_numbers if column.kind in FLOATS or to_float(one) == one})
        values = pc.add(cells.cast(pa.float64(), safe=False), 0.0)
        missing = pc.is_in(values, value_set=pc.add(pa.array(near, pa.float64()), 0.0))
    return pc.if_else(missing, pa.scalar(None, cells.type), cells)


def without(cells: pa.Array, values: Collection[Any]) -> pa.Array:
    """The cells, with null for each that is one of the values, which stand for a missing cell."""
    if not values:
        return cells
    missing = pc.is_in(cells, value_set=pa.array(values, cells.type))
    return pc.if_else(missing, pa.scalar(None, cells.type), cells)


def with_mapped(cells: pa.Array, column: Column) -> pa.Array:
    """The texts, with another one in place of each that the contract maps to it: each different text once."""
    words = cells.dictionary_encode()
    return pa.array(map(column.meant, words.dictionary.to_pylist()), pa.string()).take(words.indices)


def from_format(cells: pa.Array, form: TimeFormat, kind: Kind) -> pa.Array:
    """The texts in ISO 8601, with null for a text of another form: `TimeFormat.to_iso` for many texts at once."""
    # The expression has a group for each field, in the order of the fields. `zero` and `first` stand for a field that
    # is not in the pattern; they are null where the text has another form.
    found = pc.extract_regex(cells, pattern=f"^(?:{form.form})$")
    texts = {name: pc.struct_field(found, [at]) for at, name in enumerate(form.fields)}
    zero, first = (pc.if_else(pc.is_valid(found), text, pa.scalar(None, pa.string())) for text in ("00", "01"))
    year = texts.get("year")
    if year is None:
        year = pc.binary_join_element_wise(CENTURY, texts["short_year"], "")
    day = pc.binary_join_element_wise(year, _two(_month(texts)), _two(texts.get("day", first)), "-")
    if "weekday" in texts:
        days, _ = from_text(day, "date")
        is_right = pc.equal(pa.array(WEEKDAYS).take(pc.day_of_week(days)), texts["weekday"])
        day = pc.if_else(is_right, day, pa.scalar(None, pa.string()))
    if kind == "date":
        return day
    clock = pc.binary_join_element_wise(
        _two(_hour(texts, zero)), _two(texts.get("minute", zero)), _two(texts.get("second", zero)), ":"
    )
    if "fraction" in texts:
        clock = pc.binary_join_element_wise(clock, texts["fraction"], ".")
    if "offset" in texts:
        clock = pc.binary_join_element_wise(clock, texts["offset"], "")
    return pc.binary_join_element_wise(day, clock, "T")


def _month(texts: dict[str, pa.Array]) -> pa.Array:
    for field, names in (("month_name", MONTHS), ("short_month_name", SHORT_MONTHS)):
        if field in texts:
            number = pc.index_in(texts[field], value_set=pa.array(names), skip_nulls=True)
            return pc.cast(pc.add(number, 1), pa.string())
    if "quarter" in texts:
        return pc.cast(pc.subtract(pc.multiply(pc.cast(texts["quarter"], pa.int64()), 3), 2), pa.string())
    return texts["month"]


def _hour(texts: dict[str, pa.Array], zero: pa.Array) -> pa.Array:
    if "half" not in texts:
        return texts.get("hour", zero)
    # 12 AM is 0, 1 AM is 1, 12 PM is 12, 1 PM is 13.
    hour = pc.cast(texts["hour_of_half"], pa.int64())
    hour = pc.if_else(pc.equal(hour, 12), 0, hour)
    return pc.cast(pc.add(hour, pc.if_else(pc.equal(texts["half"], HALVES[1]), 12, 0)), pa.string())


def _two(texts: pa.Array) -> pa.Array:
    return pc.utf8_lpad(texts, width=2, padding="0")


def _plain_numbers(cells: pa.Array, form: CsvForm) -> pa.Array:
    """The numbers as JSON writes them, with null for a text that is no number in this form: `1.234,5` is `1234.5`."""
    is_number = pc.match_substring_regex(cells, form.number)
    plain = pc.if_else(is_number, cells, pa.scalar(None, pa.string()))
    if form.thousands:
        plain = pc.replace_substring(plain, form.thousands, "")
    return pc.replace_substring(plain, form.decimal, ".")


Typed = tuple[pa.Array, list[int]]
"""A typed column, and the positions of misfits."""


def _read_again(cells: pa.Array, rewritten: pa.Array, read: Callable[[pa.Array], Typed]) -> Typed:
    """The typed column that is read of its rewritten texts, and the positions of misfits.

    A text that could not be rewritten is a misfit too."""
    typed, wrong = read(rewritten)
    return typed, sorted({*wrong, *_positions(pc.and_(pc.is_valid(cells), pc.is_null(rewritten)))})


def from_text(cells: pa.Array, kind: Kind) -> tuple[pa.Array, list[int]]:
    """The typed column, and the positions of texts that are not of its type (null there)."""
    if kind == "string":
        return cells, []
    if kind == "binary":
        return _from_base64(cells)
    if kind in INTEGERS:
        cells = pc.replace_substring_regex(cells, r"^\+([0-9])", r"\1")  # Arrow reads +1.5 and no +1
    # For float32 a text first becomes the nearest double, then the nearest float32: JSON's reader has no other way.
    read = arrow_type("float64" if kind == "float32" else kind)
    wanted = arrow_type(kind)
    # Arrow also reads `0x10` as 16 and `nan(1)` as NaN. Here they are no numbers, whatever their neighbours are, so
    # columns with such texts go the slow way.
    has_hex = kind in INTEGERS and pc.any(pc.match_substring(cells, "x", ignore_case=True)).as_py()
    try:
        if has_hex:
            raise pa.ArrowInvalid
        typed = pc.cast(cells, read)
        if kind in FLOATS and pc.any(pc.is_nan(typed)).as_py() and pc.any(pc.match_substring(cells, "(")).as_py():
            raise pa.ArrowInvalid
        return _within_calendar(typed.cast(wanted), [])
    except pa.ArrowInvalid:
        # Some text is wrong: the expression finds most of them at once, `cast` searches for the rest.
        plausible = pc.fill_null(pc.match_substring_regex(cells, PLAUSIBLE[kind]), True)
        wrong = _positions(pc.invert(plausible))
        kept = pc.if_else(plausible, cells, pa.scalar(None, pa.string()))
        typed, more = cast(kept, read)
        return typed.cast(wanted), sorted({*wrong, *more})


def cast(cells: pa.Array, wanted: pa.DataType) -> tuple[pa.Array, list[int]]:
    """The column in the type `wanted`, and the positions of cells that are not of this type (null there)."""
    try:
        return _within_calendar(pc.cast(cells, wanted), [])
    except pa.ArrowInvalid:
        outside = _outside(cells, wanted)
        wrong = _misfits(cells, wanted, 0) if outside is None else _positions(pc.fill_null(outside, False))
    keep = np.ones(len(cells), dtype=bool)
    keep[wrong] = False
    typed = pc.cast(pc.if_else(pa.array(keep), cells, pa.scalar(None, cells.type)), wanted)
    return _within_calendar(typed, wrong)


def _outside(cells: pa.Array, wanted: pa.DataType) -> pa.Array | None:
    """A mask of the cells that cannot be cast: from numbers to whole numbers, and from times to another unit.

    None for other types: there `_misfits` has to search, which takes half a minute for a million cells if all of them
    are wrong."""
    if pa.types.is_integer(wanted) and (pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type)):
        limits = np.iinfo(wanted.to_pandas_dtype())
        if pa.types.is_integer(cells.type):
            own = np.iinfo(cells.type.to_pandas_dtype())
            low, high = (pa.scalar(one, cells.type) for one in (max(limits.min, own.min), min(limits.max, own.max)))
            return pc.or_(pc.less(cells, low), pc.greater(cells, high))
        numbers = cells.cast(pa.float64())
        # Compared with the upper limit plus 1, such as 2**63: that is a double, the limit itself is not.
        is_within = pc.and_(pc.greater_equal(numbers, float(limits.min)), pc.less(numbers, float(limits.max) + 1))
        return pc.invert(pc.and_(is_within, pc.equal(numbers, pc.floor(numbers))))
    if pa.types.is_timestamp(wanted) and pa.types.is_timestamp(cells.type):
        own_s, wanted_s = (UNITS[one.unit] for one in (cells.type, wanted))
        counts = cells.view(pa.int64())
        # To a coarser unit, a count must be a multiple; to a finer one, the product must fit into 64 bits.
        if own_s > wanted_s:
            whole = pc.multiply(pc.divide(counts, own_s // wanted_s), own_s // wanted_s)
            return pc.not_equal(whole, counts)
        most = (2**63 - 1) // (wanted_s // own_s)
        return pc.or_(pc.less(counts, -most), pc.greater(counts, most))
    return None


def _within_calendar(cells: pa.Array, wrong: list[int]) -> tuple[pa.Array, list[int]]:
    """The column with null for dates and times outside of the years 1 to 9999 in UTC, and `wrong` with their positions.

    Arrow holds such times, Python does not. Columns of other types stay as they are."""
    if pa.types.is_date32(cells.type):
        numbers, first, last = cells.view(pa.int32()), FIRST_DAY, LAST_DAY
    elif pa.types.is_timestamp(cells.type):
        numbers, first, last = cells.view(pa.int64()), FIRST_DAY * DAY_US, (LAST_DAY + 1) * DAY_US - 1
    else:
        return cells, wrong
    extremes = pc.min_max(numbers).as_py()
    if extremes["min"] is None or (first <= extremes["min"] and extremes["max"] <= last):
        return cells, wrong
    outside = pc.fill_null(pc.or_(pc.less(numbers, first), pc.greater(numbers, last)), False)
    return pc.if_else(outside, pa.scalar(None, cells.type), cells), sorted({*wrong, *_positions(outside)})


def _misfits(cells: pa.Array, wanted: pa.DataType, start: int) -> list[int]:
    """The positions of cells that cannot be cast, counted from `start`.

    The column is halved again and again, which is quick if there are few misfits. With 8 cells and a misfit at 5, the
    casts are 0-7, 0-3 (good), 4-7, 4-5, 4 (good), 5 (found), 6-7 (good)."""
    try:
        pc.cast(cells, wanted)
        return []
    except pa.ArrowInvalid:
        if len(cells) == 1:
            return [start]
    half = len(cells) // 2
    return _misfits(cells[:half], wanted, start) + _misfits(cells[half:], wanted, start + half)


def _from_base64(cells: pa.Array) -> tuple[pa.Array, list[int]]:
    values: list[bytes | None] = []
    wrong = []
    for position, text in enumerate(cells.to_pylist()):
        try:
            values.append(None if text is None else from_base64(text))
        except ValueError:
            values.append(None)
            wrong.append(position)
    return pa.array(values, pa.binary()), wrong


def _positions(mask: Any) -> list[int]:
    return [int(at) for at in np.flatnonzero(mask.to_numpy(zero_copy_only=False))]
