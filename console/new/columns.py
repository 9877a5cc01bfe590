"""Observes a column of the file: its type, its missing values, its distinct values."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from millrace.console.new.marks import find_number_format, looks_marked
from millrace.console.new.times import likeliest, looks_like_times, read_pattern, usual_patterns
from millrace.console.new.words import MISSING, taken_as_missing, without, words_of_no_amount
from millrace.contract.csv_form import CsvForm
from millrace.contract.kinds import TIMES, Kind, arrow_type
from millrace.contract.number_format import NumberFormat
from millrace.contract.schema import Column
from millrace.contract.time_format import TimeFormat
from millrace.files.cast import cast, from_csv, from_format, from_text, numbers_in_format
from millrace.files.parquet import NAN

WHOLE = r"^[+-]?(0|[1-9][0-9]*)$"
DECIMAL = r"^[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|(?i:inf|infinity))$"
CODE = r"^[+-]?0[0-9]"
"""A number with a leading zero is a code: 01234 and 1234 are two places."""
MOST_MISFITS = 0.01
"""Share of a column's cells that may be of another type than the others, or hold nothing.

Their rows will be quarantined."""
FEWEST_WORDS = 3
ROWS_OF_WORDS = 10_000
"""First rows in which words are counted."""
CODE_OF_LETTERS = r"^([0-9]+[A-Za-z]+|[A-Za-z]+[-_ ]?[0-9]+)$"
"""A word of digits and letters: beside whole numbers it is a code (12 and 12a are two rooms)."""
MOST_NUMBERS = 0.5
"""A column of text with at least this share of numbers is reported: it nearly was a column of numbers."""
SHOWN = 3
NONE = ("None", "none")
TRIED_FIRST = 50
"""A pattern of times is given up if none of the first 50 texts has its form."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One column of the file: what every later step knows of it."""

    name: str
    kind: Kind
    cells: pa.Array
    """In the contract's type; null where nothing is known."""
    distinct: int
    """Number of different values, null not counted."""
    changed: str = ""
    """Remarks on how the column is read, if that is not the usual way: "its times are written as dd/MM/yyyy"."""
    time_format: TimeFormat | None = None
    number_format: NumberFormat | None = None
    unit: str = ""
    """What its numbers count, as far as their text says so."""
    missing_words: tuple[str, ...] = ()
    """Words that came in the column and mean that nothing is known."""
    own_words: tuple[str, ...] = ()
    """The words of `missing_words` that mean missing in this column of numbers or times, but maybe not in text."""
    misfits: int = 0
    """Number of cells of another type, null in `cells`. Their rows will be quarantined."""
    may_be_time: bool = False
    """Whether `changed` says how the column would be read as times."""
    empty: int = 0
    """Number of cells that hold nothing in the file itself: empty cells of CSV, null."""
    repeats: int = 0
    """Number of rows that come a second time, whole or by their key. The table will hold each of them once."""

    @property
    def is_number(self) -> bool:
        return self.kind in ("int64", "float64")

    @property
    def is_sentences(self) -> bool:
        """Whether the texts have FEWEST_WORDS words or more on average. Names, codes and addresses have fewer."""

        if self.kind != "string":
            return False
        words = pc.mean(pc.count_substring_regex(self.cells.drop_null()[:ROWS_OF_WORDS], r"\S+")).as_py()
        return words is not None and float(words) >= FEWEST_WORDS

    @property
    def is_time(self) -> bool:
        return self.kind in ("date", "timestamp", "timestamp_utc")

    @property
    def is_complete(self) -> bool:
        """Whether no cell is missing. Cells of another type do not count, as their rows will be quarantined."""
        return int(self.cells.null_count) == self.misfits

    @property
    def is_nearly_complete(self) -> bool:
        """Whether so few cells are missing that their rows may be quarantined: a total line, a line cut off."""
        return int(self.cells.null_count) <= MOST_MISFITS * len(self.cells) + self.misfits

    @property
    def is_unique(self) -> bool:
        """Whether no two rows have the same cell, rows that come twice aside. A few cells may be missing."""
        return self.is_nearly_complete and self.distinct == len(self.cells) - self.cells.null_count - self.repeats

    @property
    def is_nearly_unique(self) -> bool:
        """Whether the cells that repeat another one or hold nothing are so few that their rows may be quarantined."""
        return self.distinct >= (1 - MOST_MISFITS) * len(self.cells)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A column that the contract does not have, and why."""

    name: str
    reason: str


def observe(
    name: str,
    cells: pa.ChunkedArray,
    *,
    typed_text: bool,
    time_format: str = "",
    is_time: bool = False,
    form: CsvForm | None = None,
    classes: tuple[str, ...] = (),
) -> Profile | LeftOut:
    """The statistics of a column, or why the contract will not have it.

    - `typed_text`: its texts may mean numbers, written in `form`.
    - `time_format`: a pattern of times that are not ISO 8601, "" to find one. The column is read by it if `is_time`,
      or if the pattern reads nearly all of its cells.
    - `classes`: words of MISSING that are values of this column.

    Raises ConfigurationError if `time_format` is no pattern."""

    # Parquet may have texts as a dictionary: the cells are then numbers of its entries.
    flat = cells.combine_chunks()
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    if pa.types.is_null(flat.type) or flat.null_count == len(flat):
        return LeftOut(name=name, reason="holds nothing")
    if pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type) or pa.types.is_string_view(flat.type):
        texts = flat.cast(pa.string())
        missing = tuple(word for word in MISSING if word not in classes)

        # A function, since `_of_text` types the cells a second time without words such as `unknown`.
        def typed(known: pa.Array) -> Profile:
            times = _times(name, known, time_format) if time_format else None
            is_read = times is not None and times.is_time and times.misfits <= _most_misfits(known)
            return times if times and (is_time or is_read) else _typed(name, known, typed_text, form or CsvForm())

        found = _of_text(name, texts, missing, typed)
        if isinstance(found, Profile) and found.kind == "string" and (usual := _usual_word(texts, missing)):
            # `None` in nearly all cells beside words is one of them: on most days there is no holiday.
            found, classes = _of_text(name, texts, tuple(word for word in missing if word != usual), typed), (usual,)
        said = f"{', '.join(map(repr, classes))} taken as one of its classes" if classes else ""
        found = _said(found, said) if isinstance(found, Profile) else found
    else:
        found = _of_values(name, flat)
    if isinstance(found, LeftOut):
        return found
    if found.is_number and (said := looks_like_times(name, found.cells, is_text=typed_text)):
        found = replace(_said(found, said), may_be_time=True)
    return replace(found, empty=flat.null_count)


def _usual_word(texts: pa.Array, missing: Sequence[str]) -> str:
    """The word NONE that more than half of the cells hold; "" if they do not."""
    words = [word for word in NONE if word in missing]
    return next((word for word in words if 2 * pc.sum(pc.equal(texts, word)).as_py() > len(texts)), "")


def _of_values(name: str, cells: pa.Array) -> Profile | LeftOut:

    came = cells.type
    if pa.types.is_boolean(came):
        return _observed(name, "boolean", cells)
    if pa.types.is_integer(came):
        return _cast(name, "int64", cells)
    if pa.types.is_floating(came):
        values = cells.cast(pa.float64())
        known = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
        if known.null_count == len(known):
            return LeftOut(name=name, reason="holds nothing")
        lost = known.null_count - cells.null_count
        said = f"{lost:,} NaN are taken as missing" if lost else ""
        return _observed(name, "float64", known, said, missing_words=(NAN,) * bool(lost))
    if pa.types.is_decimal(came):
        return _cast(name, "float64", cells, "decimals become doubles")
    if pa.types.is_date(came):
        return _cast(name, "date", cells)
    if pa.types.is_timestamp(came):
        return _cast(name, "timestamp" if came.tz is None else "timestamp_utc", cells)
    fields = "; give each field a column of its own" if pa.types.is_nested(came) else ""
    return LeftOut(name=name, reason=f"has the type {came}, which the contract has no word for{fields}")


def _cast(name: str, kind: Kind, cells: pa.Array, changed: str = "") -> Profile | LeftOut:
    values, misfits = cast(cells, arrow_type(kind))
    if len(misfits) > MOST_MISFITS * len(cells):
        return LeftOut(name=name, reason=f"has values that do not fit into a {kind}")
    return _observed(name, kind, values, changed, misfits=len(misfits))


def _of_text(
    name: str, cells: pa.Array, missing: tuple[str, ...], typed: Callable[[pa.Array], Profile]
) -> Profile | LeftOut:
    known = without(cells, missing)
    words = tuple(cells.filter(known.is_null()).drop_null().unique().to_pylist())
    if known.null_count == len(known):
        return LeftOut(name=name, reason="holds nothing")
    found, own = typed(known), tuple[str, ...]()
    # `unknown` is missing beside numbers or times, but beside other words it may be a class. So it is taken as missing
    # only if the other cells are numbers or times.
    if came := words_of_no_amount(known):
        amounts = without(known, came)
        beside = typed(amounts) if amounts.null_count < len(amounts) else found
        found, own = (beside, came) if beside.is_number or beside.is_time else (found, own)
    words = (*words, *own)
    return replace(_said(found, taken_as_missing(cells, words)), missing_words=words, own_words=own)


def _said(found: Profile, more: str) -> Profile:
    """The same column with one more remark in `changed`."""
    return replace(found, changed="; ".join(filter(None, (found.changed, more))))


def _typed(name: str, known: pa.Array, typed_text: bool, form: CsvForm) -> Profile:
    """The column as booleans, numbers or times if its texts are such, else as text."""
    if typed_text and (kind := _plain_kind(known, form)):
        values, misfits = from_csv(known, Column(name=name, kind=kind), form)
        if not misfits:
            return _observed(name, kind, values)
    if typed_text and (mostly := _mostly_numbers(name, known, form)):
        return mostly
    # Times in ISO 8601, of the kind that reads most cells; then in the one pattern that reads them.
    iso = [(len(misfits), kind, values) for kind in TIMES for values, misfits in [from_text(known, kind)]]
    few, kind, values = min(iso, key=lambda each: each[0])
    if few <= _most_misfits(known):
        return _observed(name, kind, values, _no_times(known, values), misfits=few)
    times = _times(name, known)
    if times.kind != "string":
        return times
    if isinstance(marked := _marked(name, known, form), Profile):
        return marked
    nearly = marked or _nearly("times in ISO 8601", known, values, few)
    return _said(times, nearly or (typed_text and _nearly_numbers(known, form)) or looks_marked(known))


def _marked(name: str, known: pa.Array, form: CsvForm) -> Profile | str:
    """The column as numbers that have a unit, a currency or a clock beside them, or why it is text; "" for others."""
    found = find_number_format(known, form)
    if found is None:
        return ""
    number_format, unit, said = found
    values, misfits = numbers_in_format(known, Column(name=name, kind="float64", number_format=number_format))
    if len(misfits) > _most_misfits(known):
        return _nearly("numbers with a mark", known, values, len(misfits))
    if misfits:
        said += f"; {len(misfits):,} with no such number will be quarantined: {_shown(known.take(misfits))}"
    facts = {"number_format": number_format, "unit": unit}
    return _observed(name, "float64", values, said, misfits=len(misfits), **facts)


def _numbers(known: pa.Array, form: CsvForm) -> tuple[pa.Array, pa.Array]:
    """The cells that are written as numbers, and the others."""

    cells = known.drop_null()
    is_number = pc.match_substring_regex(cells, form.number)
    return cells.filter(is_number), cells.filter(pc.invert(is_number))


def _mostly_numbers(name: str, known: pa.Array, form: CsvForm) -> Profile | None:
    """The column as numbers if hardly any cell is no number; None for other columns and for codes."""

    numbers, others = _numbers(known, form)
    if not len(numbers) or len(others) > MOST_MISFITS * (len(numbers) + len(others)):
        return None
    kind = _plain_kind(numbers, form)
    if kind not in ("int64", "float64"):
        return None
    # 12 and 12a are two rooms: a column of such codes stays text.
    if kind == "int64" and pc.any(pc.match_substring_regex(others, CODE_OF_LETTERS)).as_py():
        return None
    values, misfits = from_csv(known, Column(name=name, kind=kind), form)
    if len(misfits) > _most_misfits(known):
        return None
    said = f"{few_rows(len(misfits), 'no number')}: {_shown(known.take(misfits))}"
    return _observed(name, kind, values, said, misfits=len(misfits))


def _nearly_numbers(known: pa.Array, form: CsvForm) -> str:
    """Why a column with many numbers is text: the cells that are no numbers. "" for other texts."""

    numbers, others = _numbers(known, form)
    cells = len(numbers) + len(others)
    if not len(others) and _plain_kind(known, form) == "int64":
        return "text, as its whole numbers are too large to be exact (beyond 9,223,372,036,854,775,807)"
    if not len(others) or len(numbers) < MOST_NUMBERS * cells:
        return ""
    which = f"text, as {len(others):,} of {cells:,} cells are no numbers: {_shown(others)}"
    if pc.any(pc.match_substring_regex(others, "[0-9]")).as_py():
        return which
    return f"{which}; if they mean missing, contract.yaml can say so (`missingValues`, `logicalType: number`)"


def _shown(cells: pa.Array) -> str:
    words = cells.unique().to_pylist()
    return ", ".join(map(repr, words[:SHOWN])) + ("…" if len(words) > SHOWN else "")


def _plain_kind(known: pa.Array, form: CsvForm) -> Kind | None:
    """The kind of which every cell is: boolean, int64 or float64. None for other cells, and for codes (01234)."""

    def all_match(texts: pa.Array, pattern: str) -> bool:
        return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())

    if all_match(known, r"^(?i:true|false)$"):
        return "boolean"
    if pc.any(pc.match_substring_regex(known, CODE)).as_py() or not all_match(known, form.number):
        return None
    # The texts as Python writes numbers, to tell whole ones from others.
    digits = pc.replace_substring(known, form.thousands, "") if form.thousands else known
    plain = pc.replace_substring(digits, form.decimal, ".")
    return "int64" if all_match(plain, WHOLE) else "float64" if all_match(plain, DECIMAL) else None


def _times(name: str, known: pa.Array, pattern: str = "") -> Profile:
    """The column as times in the one pattern that reads them, else as text with the reason.

    With a `pattern` only that one is tried, and it may leave any number of misfits."""
    # Each pattern that has the form of a first text is read in full, with its misfits: texts that it does not read.
    first = known.drop_null()[:TRIED_FIRST].to_pylist()
    tried = [
        (form, values, values.null_count - known.null_count)
        for form in ((read_pattern(pattern, name),) if pattern else usual_patterns())
        if any(re.fullmatch(form.form, text) for text in first) and (values := _in_pattern(known, form)) is not None
    ]
    found = [each for each in tried if pattern or each[2] <= _most_misfits(known)]
    if not found:
        near = (_nearly(f"times in {form.pattern}", known, *read) for form, *read in sorted(tried, key=itemgetter(2)))
        came = f"{pattern} does not read {known.drop_null()[0].as_py()!r}" if pattern else next(filter(None, near), "")
        return _observed(name, "string", known, came)
    fewest = min(misfits for _, _, misfits in found)
    best = [each for each in found if each[2] == fewest]
    # Two patterns that read different times (dd/MM and MM/dd) leave it open, unless the rows tell. `dd` and `d` read
    # the same times if all days have two digits, and so leave nothing open.
    chosen, why = likeliest(best)
    form, values, _ = chosen or best[0]
    if others := [each[0] for each in best if not each[1].equals(values)]:
        shown = " or ".join(repr(each.pattern) for each in (form, *others))
        if chosen is None:
            said = f"may be times, as {shown}: --time-format says which"
            return _observed(name, "string", known, said, may_be_time=True)
        why += f" ({shown} would read them, too)"
    kind: Kind = "timestamp" if "hour" in form.fields or "half" in form.fields else "date"
    said = f"its times are written as {form.pattern}{why}"
    values = values if kind == "timestamp" else values.cast(arrow_type("date"))
    return _observed(
        name, kind, values, "; ".join(filter(None, (said, _no_times(known, values)))), misfits=fewest, time_format=form
    )


def _most_misfits(known: pa.Array) -> float:
    return MOST_MISFITS * int(len(known) - known.null_count)


def _nearly(what: str, known: pa.Array, values: pa.Array, misfits: int) -> str:
    """Why a column is text, if most of its cells are `what`: the others. "" for other texts."""

    cells = len(known) - known.null_count
    if misfits > (1 - MOST_NUMBERS) * cells:
        return ""
    others = known.filter(pc.and_(known.is_valid(), values.is_null()))
    return f"text, as {misfits:,} of {cells:,} cells are no {what}: {_shown(others)}"


def _no_times(known: pa.Array, values: pa.Array) -> str:
    """A sentence on the rows whose text is no time; "" if there are none."""

    others = known.filter(pc.and_(known.is_valid(), values.is_null()))
    return f"{few_rows(len(others), 'no time')}: {_shown(others)}" if len(others) else ""


def few_rows(misfits: int, lacking: str = "none") -> str:
    """A sentence on the rows that have no time at all, or lack something else; "" if there are none."""
    rows = "row" if misfits == 1 else "rows"
    return f"{misfits:,} {rows} with {lacking} will be quarantined" if misfits else ""


def _in_pattern(known: pa.Array, form: TimeFormat) -> pa.Array | None:
    """The times, null where a text is no time; None if no text is a time."""
    values, _ = from_text(from_format(known, form, "timestamp"), "timestamp")
    return None if values.null_count == len(values) else values


def _observed(name: str, kind: Kind, cells: Any, changed: str = "", **facts: Any) -> Profile:
    distinct = len(cells.drop_null().unique())
    return Profile(name=name, kind=kind, cells=cells, distinct=distinct, changed=changed, **facts)
