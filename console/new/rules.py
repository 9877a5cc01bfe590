"""Derives the rules of a contract's column from observed values, with a margin for values not yet seen."""

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
"""Share of the observed span by which a number may lie outside of the span, at either end."""
USUAL = (0.01, 0.5, 0.99)
"""Quantiles: the lowest usual value, the middle, the highest usual value."""
SKEWED = 4
"""Values are skewed if the highest usual value lies more than 4 times as far from the middle as the lowest one."""
FAR = 3
"""A number lies far if it is more than so many spans of the usual values outside of them."""
MOST_FAR = 0.002
"""Most far numbers that a range leaves out, as a share of the cells; or FEW_FAR, if that is more.

More of them may be a tail of the values, and stay in the range."""
MOST_TOLD = 0.02
"""Most far numbers at one end that are reported, as a share of the cells; or FEW_FAR, if that is more."""
MOST_MARKED = 0.1
"""The same share if these cells are all one number, such as -999. Not for 0, which may be a usual amount."""
FEW_FAR = 2
FEWEST_EQUAL = 5
"""So many equal cells beyond a gap, or more, are taken for a mark such as -999 for nothing."""
MIDDLE_HALF = (0.25, 0.75)
FAR_TIMES = 10
"""A day lies far if it is so many spans of the middle half away from that half, and at least DECADES."""
DECADES = 30 * 365
"""Days."""
MOST_CATEGORIES = 64
ROWS_PER_CATEGORY = 10
"""Text with fewer rows than this for each of its values, on average, is no category."""
MOST_STEPS = 1e12
"""A bound is rounded if it is below so many units of the rounding. Larger doubles hold no round numbers."""
LONGER = 4
"""A text may be so many times as long as the longest one that was seen."""


def column_of(observed: Observed) -> Column:
    """The contract's column, with rules that the observed cells keep and some slack."""
    column = Column(name=observed.name, kind=observed.kind, required=observed.is_complete)
    if observed.kind == "string":
        return _text(observed, column)
    if observed.is_number:
        return _number(observed, column)
    return replace(column, rules=(Range(minimum=_first_day(observed)),)) if observed.is_time else column


def relaxed(column: Column) -> Column:
    """The column for the case that no model reads it: it may be missing, and hold any value of its type.

    A range or a list of values would quarantine rows for a cell that no answer depends on. The length stays, as it
    only bounds what is kept."""
    return replace(column, required=False, rules=tuple(one for one in column.rules if isinstance(one, Length)))


def column_of_classes(observed: Observed) -> Column:
    """The column of a label that is a class: it takes the observed classes and nothing else."""
    classes = tuple(sorted(value for value, _ in counted(observed.cells)))
    rules = () if observed.kind == "boolean" else (Allowed(classes),)
    return Column(name=observed.name, kind=observed.kind, required=True, label=True, rules=rules)


def why_no_feature(column: Column, observed: Observed) -> str:
    """Why the column is no feature: a model cannot take it, or would only learn the rows by heart. "" for a feature."""
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
    """Whether a model reads the words of this column. Texts of few values are categories, however long each is."""
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
    # A column of one single number has no span: then the room is that number, or 1 if it is smaller.
    room = SLACK * (float(high) - float(low)) or max(abs(float(high)), 1.0)
    least, most = _rounded(low - room, room, math.floor), _rounded(high + room, room, math.ceil)
    # The slack does not cross 0: a column without negative numbers keeps the minimum 0.
    least, most = min(low, max(least, 0) if low >= 0 else least), max(high, min(most, 0) if high <= 0 else most)
    if whole:
        whole_range = Range(minimum=max(math.floor(least), -(2**63)), maximum=min(math.ceil(most), 2**63 - 1))
        return replace(column, rules=(whole_range,))
    found = {"minimum": least, "maximum": most}
    bounds = {name: bound for name, bound in found.items() if math.isfinite(bound)}
    return replace(column, rules=(Range(**bounds),)) if bounds else column


def far_values(observed: Observed) -> list[Any]:
    """The numbers that lie far from all others, ascending, if they are so few that they may well be mistakes."""
    found = all_far_values(observed)
    known = len(observed.cells) - observed.cells.null_count
    return found if len(found) <= max(FEW_FAR, MOST_FAR * known) else []


def all_far_values(observed: Observed) -> list[Any]:
    """The numbers that lie far from all others, ascending. A gap lies between them and the others.

    Empty if one end has more than MOST_TOLD of the cells, which is a tail; MOST_MARKED, if they are all one number.
    Skewed values, such as amounts of money, are compared by their logarithms."""
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
        # A logarithm puts 0 far from the smallest amount, however near that comes to it: so 0 counts as that amount.
        # Negative numbers have no logarithm: all below a thousandth of the lowest usual value count as that.
        exact = np.log(np.maximum(np.where(exact == 0, exact[exact > 0][0], exact), low / 1e3))
        low, middle, high = np.log([low, middle, high])
    span = high - low
    if not span or not math.isfinite(span):
        return []
    above = int((exact > high + FAR * span).sum())
    below = int((exact < low - FAR * span).sum())
    # `exact` ascends: exact[-above] is the smallest far number above. Without a gap before it, these are a tail.
    if above and exact[-above] - exact[-above - 1] < span:
        above = 0
    if below and exact[below] - exact[below - 1] < span:
        below = 0
    above = max(above, _equal_at_the_end(exact, span))
    # Negated and reversed, the smallest number becomes the largest and the order still ascends.
    below = max(below, _equal_at_the_end(-exact[::-1], span))
    ordered = sorted(value for value in known.to_pylist() if math.isfinite(value))
    for far in (ordered[:below], ordered[len(ordered) - above :]):
        most = MOST_MARKED if len(set(far)) == 1 and far[0] != 0 else MOST_TOLD
        if len(far) > max(FEW_FAR, most * len(ordered)):
            return []
    return [*ordered[:below], *(ordered[-above:] if above else [])]


def far_times(observed: Observed) -> list[tuple[date, int]]:
    """The days that lie decades from the usual ones, ascending, each with its number of rows.

    Such a day often means that there is none: 1900-01-01 or 9999-12-31."""
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
    """The numbers without the cells that equal the smallest or the largest number, if these cells may be marks.

    Otherwise a hundred times -999 would be the lowest quantile of the usual values."""
    import numpy as np

    # In ascending order: how many cells are the smallest number, and where the largest one begins.
    first = int(np.searchsorted(ascending, ascending[0], side="right"))
    last = int(np.searchsorted(ascending, ascending[-1]))
    begin = first if FEWEST_EQUAL <= first <= MOST_MARKED * len(ascending) else 0
    end = last if FEWEST_EQUAL <= len(ascending) - last <= MOST_MARKED * len(ascending) else len(ascending)
    return ascending[begin:end]


def _equal_at_the_end(ascending: npt.NDArray[np.float64], span: float) -> int:
    """How many cells are the largest number, if a gap of more than `span` lies before it; else 0.

    For example 99999999 among amounts is a mark."""
    import numpy as np

    first = int(np.searchsorted(ascending, ascending[-1]))
    count = len(ascending) - first
    return count if first and count >= FEWEST_EQUAL and ascending[-1] - ascending[first - 1] > span else 0


def _usual(observed: Observed) -> tuple[Any, Any]:
    """The smallest and the largest number, without the numbers that lie far from all others."""
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
    """The bound, rounded outwards by a tenth of `room` at most: `_rounded(103.7, 25, math.ceil)` is 104.

    The bound itself if doubles have no digits for that. `to` is math.floor or math.ceil."""
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
