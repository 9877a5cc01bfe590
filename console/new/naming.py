"""Recognises columns that name rows, later rows too: by the column's name, or by cells that are codes or count."""

from __future__ import annotations

from console.new.counts import is_identifier
from console.new.observed import Observed
from console.new.people import why_protected
from console.new.series import REGULAR

CODE = r"^[A-Za-z0-9][A-Za-z0-9_./:#-]{0,63}$"
DIGIT = r"[0-9]"


def rank_of_names(column: Observed) -> int:
    """How well a unique column names the rows, best first:

    - 1: it is called like an identifier
    - 2: its cells are codes
    - 3: its numbers count the rows
    - 0: nothing says that it names rows"""
    if column.is_time:
        return 0
    if is_identifier(column.name):
        return 1
    if column.kind == "string":
        return 2 if _are_codes(column) and not why_protected(column) else 0
    return 3 if column.kind == "int64" and _count(column) else 0


def are_evenly_spaced(times: Observed) -> bool:
    """Whether REGULAR of the neighbours in time, or more, are equally far apart."""
    import numpy as np
    import pyarrow as pa

    kind = pa.timestamp("us", getattr(times.cells.type, "tz", None))
    moments = np.sort(times.cells.drop_null().cast(kind).cast(pa.int64()).to_numpy())
    apart, counts = np.unique(np.diff(moments), return_counts=True)
    return bool(len(apart)) and bool(counts.max() >= REGULAR * counts.sum())


def _are_codes(column: Observed) -> bool:
    """Whether each cell is one word with a digit in it."""
    import pyarrow.compute as pc

    known = column.cells.drop_null()
    return all(bool(pc.all(pc.match_substring_regex(known, pattern)).as_py()) for pattern in (CODE, DIGIT))


def _count(column: Observed) -> bool:
    """Whether the whole numbers have no large gaps, or grow from row to row."""
    import numpy as np

    # Dense: the numbers span less than twice as many values as there are rows.
    known = column.cells.drop_null().to_numpy()
    dense = int(known.max()) - int(known.min()) < 2 * len(known)
    return dense or bool((np.diff(known) > 0).all())
