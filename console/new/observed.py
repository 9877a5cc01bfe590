"""Statistics of a column: its type, missing values, distinct values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.contract.kinds import Kind, arrow_type
from millrace.files.cast import from_text

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = ("", "?", "-", "NA", "N/A", "n/a", "na", "NaN", "nan", "NULL", "null", "None", "none", "#N/A", "NaT")
"""Words that mean that nothing was known, as spreadsheets, R and pandas write them."""
WHOLE = r"^[+-]?(0|[1-9][0-9]*)$"
DECIMAL = r"^[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|(?i:inf|infinity))$"
CODE = r"^[+-]?0[0-9]"
"""A number with a leading zero is a code: 01234 and 1234 are two places."""
ISO: tuple[tuple[Kind, str], ...] = (
    ("date", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    ("timestamp", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+)?$"),
    ("timestamp_utc", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(Z|[+-][0-9]{2}:?[0-9]{2})$"),
)
DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y%m%d", "%d-%m-%Y", "%m-%d-%Y")
CLOCKS = ("", " %H:%M", " %H:%M:%S")


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One column of the file."""

    name: str
    kind: Kind
    cells: pa.Array
    """In the contract's type; null where nothing is known."""
    distinct: int
    """Different values, null not counted."""
    changed: str = ""
    """How the drops write it otherwise than the file; nothing where they do not."""

    @property
    def is_number(self) -> bool:
        return self.kind in ("int64", "float64")

    @property
    def is_time(self) -> bool:
        return self.kind in ("date", "timestamp", "timestamp_utc")

    @property
    def is_complete(self) -> bool:
        return not int(self.cells.null_count)

    @property
    def is_unique(self) -> bool:
        return self.is_complete and self.distinct == len(self.cells)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A column that the contract does not have, and why."""

    name: str
    reason: str


def observe(name: str, cells: pa.ChunkedArray, *, typed_text: bool, time_format: str = "") -> Observed | LeftOut:
    """Statistics of the column; `typed_text`: its texts may be numbers. `time_format` is for strptime."""
    import pyarrow as pa

    flat = cells.combine_chunks()
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    if pa.types.is_null(flat.type) or flat.null_count == len(flat):
        return LeftOut(name=name, reason="holds nothing")
    if pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type) or pa.types.is_string_view(flat.type):
        return _of_text(name, flat.cast(pa.string()), typed_text, time_format)
    return _of_values(name, flat)


def _of_values(name: str, cells: pa.Array) -> Observed | LeftOut:
    import pyarrow as pa
    import pyarrow.compute as pc

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
        return _observed(name, "float64", known, f"{lost:,} NaN are taken as missing" if lost else "")
    if pa.types.is_decimal(came):
        return _cast(name, "float64", cells, "decimals become doubles")
    if pa.types.is_date(came):
        return _cast(name, "date", cells)
    if pa.types.is_timestamp(came):
        return _cast(name, "timestamp" if came.tz is None else "timestamp_utc", cells)
    return LeftOut(name=name, reason=f"has the type {came}, which the contract has no word for")


def _cast(name: str, kind: Kind, cells: pa.Array, changed: str = "") -> Observed | LeftOut:
    import pyarrow as pa

    wanted = arrow_type(kind)
    try:
        try:
            return _observed(name, kind, cells.cast(wanted), changed)
        except pa.ArrowInvalid:
            if kind not in ("timestamp", "timestamp_utc"):
                raise
            return _observed(name, kind, cells.cast(wanted, safe=False), "times are cut to microseconds")
    except pa.ArrowInvalid:
        return LeftOut(name=name, reason=f"has values that do not fit into a {kind}")


def _of_text(name: str, cells: pa.Array, typed_text: bool, time_format: str) -> Observed | LeftOut:
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.ascii_trim_whitespace(cells)
    known = pc.if_else(pc.is_in(trimmed, value_set=pa.array(MISSING)), pa.scalar(None, pa.string()), trimmed)
    words = _words(trimmed.filter(pc.and_(pc.is_valid(cells), pc.is_null(known))), typed_text)
    if known.null_count == len(known):
        return LeftOut(name=name, reason="holds nothing")
    if time_format and (times := _by_format(known, time_format)) is not None:
        return _observed(name, "timestamp", times, f"its times are written as {time_format}")
    kind = (_number_kind(known) if typed_text else None) or _time_kind(known)
    if kind:
        values, misfits = from_text(known, kind)
        if not misfits:
            return _observed(name, kind, values, words)
    if formats := [(form, found) for form in _formats() if (found := _by_format(known, form)) is not None]:
        if len(formats) == 1:
            return _observed(name, "timestamp", formats[0][1], f"its times are written as {formats[0][0]}")
        shown = " or ".join(repr(form) for form, _ in formats)
        return _observed(name, "string", known, f"may be times, as {shown}: --time-format says which")
    return _observed(name, "string", known, words)


def _words(replaced: pa.Array, typed_text: bool) -> str:
    """Which words were taken as missing; an empty cell of a text file is nothing in any case."""
    words = [word for word in replaced.unique().to_pylist() if word or not typed_text]
    return f"{', '.join(map(repr, words))} taken as missing" if words else ""


def _number_kind(known: pa.Array) -> Kind | None:
    import pyarrow.compute as pc

    def all_match(pattern: str) -> bool:
        return bool(pc.all(pc.match_substring_regex(known, pattern)).as_py())

    if all_match(r"^(?i:true|false)$"):
        return "boolean"
    if pc.any(pc.match_substring_regex(known, CODE)).as_py():
        return None
    return "int64" if all_match(WHOLE) else "float64" if all_match(DECIMAL) else None


def _time_kind(known: pa.Array) -> Kind | None:
    import pyarrow.compute as pc

    return next((kind for kind, form in ISO if pc.all(pc.match_substring_regex(known, form)).as_py()), None)


def _formats() -> tuple[str, ...]:
    return tuple(day + clock for day in DAYS for clock in CLOCKS)


def _by_format(known: pa.Array, form: str) -> pa.Array | None:
    """The times where each text is one, else None."""
    import pyarrow.compute as pc

    first = known.drop_null()[:1]
    if pc.strptime(first, format=form, unit="us", error_is_null=True).null_count:
        return None
    times = pc.strptime(known, format=form, unit="us", error_is_null=True)
    return times if times.null_count == known.null_count else None


def _observed(name: str, kind: Kind, cells: Any, changed: str = "") -> Observed:
    return Observed(name=name, kind=kind, cells=cells, distinct=len(cells.drop_null().unique()), changed=changed)
