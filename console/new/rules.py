"""Rules of a contract column from observed values, with a margin for values not yet seen."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from console.new.counts import counted, is_identifier
from console.new.observed import Observed
from millrace.contract.kinds import FLOAT32_MAX
from millrace.contract.rules.allowed import Allowed
from millrace.contract.rules.length import Length
from millrace.contract.rules.range import Range
from millrace.contract.schema import Column

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

SLACK = 0.25
"""Share of the observed span by which a number may lie outside of it."""
USUAL = (0.01, 0.5, 0.99)
"""The quantiles between which a number usually lies, and the middle."""
SKEWED = 4
"""Times as far as the lowest usual value the highest lies from the middle, from which on values are skewed."""
FAR = 3
"""Spans of the usual values outside of them from which on a number lies far."""
MOST_FAR = 0.002
"""Share of the rows, and at least FEW_FAR: more of them may be a tail of the values, and stay in the range."""
MOST_TOLD = 0.02
"""Share of the rows up to which numbers far from all others are told."""
MOST_MARKED = 0.1
"""The same for cells that are all one number, such as -999; not 0, which may be a usual amount."""
FEW_FAR = 2
FEWEST_EQUAL = 5
"""Equal cells at the end of a gap from which on they are taken for a mark."""
MIDDLE_HALF = (0.25, 0.75)
FAR_TIMES = 10
"""A day lies far that is so many spans of the middle half away from it, and at least so many days:"""
DECADES = 30 * 365
MOST_CATEGORIES = 64
ROWS_PER_CATEGORY = 10
"""Text with fewer rows than this for each of its values is no category."""
MOST_STEPS = 1e12
"""Of a bound's rounding; beyond, doubles say no round numbers."""
LONGER = 4
"""Text may be so many times as long as the longest that was seen."""


def column_of(observed: Observed) -> Column:
    """The column with the rules that its cells keep, and some slack."""
    column = Column(name=observed.name, kind=observed.kind, required=observed.is_complete)
    if observed.kind == "string":
        return _text(observed, column)
    if observed.is_number:
        return _number(observed, column)
    return replace(column, rules=(Range(minimum=_first_day(observed)),)) if observed.is_time else column


def relaxed(column: Column) -> Column:
    """The column where no model reads it: it may be missing, and hold any value of its type.

    A range or a list would quarantine rows for what no answer depends on; a length only bounds what is kept."""
    return replace(column, required=False, rules=tuple(one for one in column.rules if isinstance(one, Length)))


def column_of_classes(observed: Observed) -> Column:
    """The label of classes: these and nothing else."""
    classes = tuple(sorted(value for value, _ in counted(observed.cells)))
    rules = () if observed.kind == "boolean" else (Allowed(classes),)
    return Column(name=observed.name, kind=observed.kind, required=True, label=True, rules=rules)


def why_no_feature(column: Column, observed: Observed) -> str:
    """Why a model cannot take the column, or would only learn the rows by heart from it; nothing for a feature."""
    if observed.is_time:
        return "a time: see the calendars below"
    if observed.distinct == 1 and observed.is_complete:
        return "always the same"
    if column.name == "id":
        return "no input of a model is called `id`, by which batch scoring knows a row; with another name it can be one"
    if is_free_text(column, observed):
        return ""
    only_numbers = observed.is_unique and observed.kind in ("int64", "string")
    counts = observed.is_unique or (observed.kind == "int64" and observed.is_nearly_unique)
    if only_numbers or (counts and is_identifier(observed.name)):
        return "different in each row: it only numbers them"
    if observed.kind == "float64" and max(map(abs, _finite(observed.cells))) > FLOAT32_MAX:
        return "beyond what a float32 holds"
    if column.kind == "string" and not column.allowed:
        return f"text of {observed.distinct:,} values, too short for sentences and too many for categories"
    return ""


def is_free_text(column: Column, observed: Observed) -> bool:
    """Whether a model reads its words; texts of few values are categories, however long each is."""
    return observed.is_sentences and not column.allowed


def _text(observed: Observed, column: Column) -> Column:
    import pyarrow.compute as pc

    enough = observed.distinct * ROWS_PER_CATEGORY <= len(observed.cells) - observed.cells.null_count
    if observed.distinct <= MOST_CATEGORIES and enough:
        return replace(column, rules=(Allowed(tuple(sorted(value for value, _ in counted(observed.cells)))),))
    longest = pc.max(pc.utf8_length(observed.cells)).as_py()
    return replace(column, rules=(Length(maximum=max(16, LONGER * longest)),))


def _number(observed: Observed, column: Column) -> Column:
    low, high = _usual(observed)
    whole = observed.kind == "int64"
    if whole and (observed.is_unique or (observed.is_nearly_unique and is_identifier(observed.name))):
        # A counter: its next value is larger than every observed one.
        return replace(column, rules=(Range(minimum=0),)) if low >= 0 else column
    if whole and {low, high} <= {0, 1}:
        return replace(column, rules=(Allowed((0, 1)),))
    if not whole and low >= 0 and high <= 1:
        return replace(column, rules=(Range(minimum=0, maximum=1),))
    room = SLACK * (float(high) - float(low)) or max(abs(float(high)), 1.0)
    least, most = _rounded(low - room, room, math.floor), _rounded(high + room, room, math.ceil)
    least, most = min(low, max(least, 0) if low >= 0 else least), max(high, min(most, 0) if high <= 0 else most)
    if whole:
        whole_range = Range(minimum=max(math.floor(least), -(2**63)), maximum=min(math.ceil(most), 2**63 - 1))
        return replace(column, rules=(whole_range,))
    found = {"minimum": least, "maximum": most}
    bounds = {name: bound for name, bound in found.items() if math.isfinite(bound)}
    return replace(column, rules=(Range(**bounds),)) if bounds else column


def far_values(observed: Observed) -> list[Any]:
    """The numbers that lie far from all others, ascending: few, so that they may well be mistakes."""
    found = all_far_values(observed)
    known = len(observed.cells) - observed.cells.null_count
    return found if len(found) <= max(FEW_FAR, MOST_FAR * known) else []


def all_far_values(observed: Observed) -> list[Any]:
    """The numbers that lie far from all others, ascending, up to MOST_TOLD of the rows at an end, or MOST_MARKED where
    all are one number; none of a tail.

    In logarithms where the values are skewed, as amounts of money are. Between them and the others there is a gap."""
    import numpy as np

    if not observed.is_number or observed.distinct < 10:
        return []
    known = observed.cells.drop_null()
    exact = np.sort(np.asarray(known.to_numpy(zero_copy_only=False), dtype=np.float64))
    exact = exact[np.isfinite(exact)]
    if len(exact) < 10:
        return []
    low, middle, high = np.quantile(_without_marks(exact), USUAL)
    if low > 0 and high - middle > SKEWED * (middle - low):
        # A logarithm puts 0 far from the smallest amount, however near that comes to it.
        exact = np.log(np.maximum(np.where(exact == 0, exact[exact > 0][0], exact), low / 1e3))
        low, middle, high = np.log([low, middle, high])
    span = high - low
    if not span or not math.isfinite(span):
        return []
    above = int((exact > high + FAR * span).sum())
    below = int((exact < low - FAR * span).sum())
    if above and exact[-above] - exact[-above - 1] < span:
        above = 0
    if below and exact[below] - exact[below - 1] < span:
        below = 0
    above = max(above, _equal_at_the_end(exact, span))
    below = max(below, _equal_at_the_end(-exact[::-1], span))
    ordered = sorted(value for value in known.to_pylist() if math.isfinite(value))
    for far in (ordered[:below], ordered[len(ordered) - above :]):
        most = MOST_MARKED if len(set(far)) == 1 and far[0] != 0 else MOST_TOLD
        if len(far) > max(FEW_FAR, most * len(ordered)):
            return []
    return [*ordered[:below], *(ordered[-above:] if above else [])]


def far_times(observed: Observed) -> list[tuple[date, int]]:
    """The days that lie decades from the usual ones, ascending, each with its rows: 1900-01-01 or 9999-12-31 often mean
    that there is none."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not observed.is_time or observed.cells.null_count == len(observed.cells):
        return []
    days = np.asarray(pc.cast(observed.cells.drop_null(), pa.date32(), safe=False).view(pa.int32()))
    low, high = np.quantile(days, MIDDLE_HALF)
    room = max(DECADES, FAR_TIMES * (high - low))
    values, counts = np.unique(days[(days < low - room) | (days > high + room)], return_counts=True)
    return [(date(1970, 1, 1) + timedelta(int(day)), int(many)) for day, many in zip(values, counts, strict=True)]


def _without_marks(ascending: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The numbers without those that are equal to the smallest or the largest one, where these may be marks: a hundred
    times -999 would be the usual values' lowest quantile."""
    import numpy as np

    first = int(np.searchsorted(ascending, ascending[0], side="right"))
    last = int(np.searchsorted(ascending, ascending[-1]))
    begin = first if FEWEST_EQUAL <= first <= MOST_MARKED * len(ascending) else 0
    end = last if FEWEST_EQUAL <= len(ascending) - last <= MOST_MARKED * len(ascending) else len(ascending)
    return ascending[begin:end]


def _equal_at_the_end(ascending: npt.NDArray[np.float64], span: float) -> int:
    """How many cells are the largest number, where a gap lies before it: 99999999 among amounts is a mark."""
    import numpy as np

    first = int(np.searchsorted(ascending, ascending[-1]))
    count = len(ascending) - first
    return count if first and count >= FEWEST_EQUAL and ascending[-1] - ascending[first - 1] > span else 0


def _usual(observed: Observed) -> tuple[Any, Any]:
    """The smallest and the largest number, those left out that lie far from all others."""
    far = set(far_values(observed))
    if not far:
        return _finite(observed.cells)
    kept = [value for value in observed.cells.drop_null().unique().to_pylist() if value not in far]
    finite = [value for value in kept if math.isfinite(value)]
    return min(finite), max(finite)


def _finite(cells: pa.Array) -> tuple[Any, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    known = cells.drop_null()
    if pa.types.is_floating(known.type):
        finite = known.filter(pc.is_finite(known))
        known = finite if len(finite) else pa.array([0.0])
    bounds = pc.min_max(known).as_py()
    return bounds["min"], bounds["max"]


def _rounded(bound: float, room: float, to: Any) -> float:
    """Outwards to a round number, a tenth of the room at most; as it is where doubles have no digits for that."""
    unit = 10.0 ** math.floor(math.log10(room) - 1) if math.isfinite(room) else math.inf
    if not unit or not math.isfinite(bound) or not abs(bound / unit) < MOST_STEPS:
        return bound
    return float(f"{to(bound / unit) * unit:.12g}")


def _first_day(observed: Observed) -> date | datetime:
    import pyarrow.compute as pc

    first: Any = pc.min(observed.cells).as_py()
    if observed.kind == "date":
        return first  # type: ignore[no-any-return]
    zone = UTC if observed.kind == "timestamp_utc" else None
    return datetime.combine(first.date(), time(), zone)
