"""Counts the values of a column and repeated rows, and reads the words of a column's name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

WORD = re.compile(r"[A-ZÀ-ÖØ-Þ]?[a-zß-öø-ÿ]+|[A-ZÀ-ÖØ-Þ]+")
"""A word of a name: customerId and prénom_client have two each."""
IDENTIFIERS = {
    "id",
    "key",
    "uuid",
    "guid",
    "index",
    "nr",
    "no",
    "number",
    "nummer",
    "numero",
    "número",
    "numéro",
    "code",
}


def counted(cells: pa.Array | pa.ChunkedArray) -> list[tuple[Any, int]]:
    """Each value with the number of its rows, most frequent first. Null is not counted."""
    pairs = [(entry["values"], entry["counts"]) for entry in cells.drop_null().value_counts().to_pylist()]
    return sorted(pairs, key=lambda pair: (-pair[1], str(pair[0])))


def repeated_rows(columns: Sequence[pa.Array | pa.ChunkedArray]) -> int:
    """How many rows equal an earlier row in all of these columns."""
    import pyarrow as pa

    # By place: a name such as `.` would be a path to Arrow.
    rows = pa.table(list(columns), names=[str(place) for place in range(len(columns))])
    return int(rows.num_rows - rows.group_by(rows.column_names).aggregate([]).num_rows)


def words_of_name(name: str) -> list[str]:
    """The words of a name in lower case: `customer` and `id` of `customerId`."""
    return [word.lower() for word in WORD.findall(name)]


def is_identifier(name: str) -> bool:
    """Whether a column only numbers the rows, by the last word of its name: `customerId`."""
    words = words_of_name(name)
    return bool(words) and words[-1] in IDENTIFIERS
