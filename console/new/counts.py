"""How often each value of a column occurs, and what a column's name says of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

WORD = re.compile(r"[A-ZÀ-ÖØ-Þ]?[a-zß-öø-ÿ]+|[A-ZÀ-ÖØ-Þ]+")
"""A word of a name, as in customerId or prénom_client."""
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
    """The values with their rows, most frequent first."""
    pairs = [(entry["values"], entry["counts"]) for entry in cells.drop_null().value_counts().to_pylist()]
    return sorted(pairs, key=lambda pair: (-pair[1], str(pair[0])))


def repeated_rows(columns: Sequence[pa.Array | pa.ChunkedArray]) -> int:
    """How many rows are equal to an earlier one in all of these columns."""
    import pyarrow as pa

    # By place: a name such as `.` would be a path to Arrow.
    rows = pa.table(list(columns), names=[str(place) for place in range(len(columns))])
    return int(rows.num_rows - rows.group_by(rows.column_names).aggregate([]).num_rows)


def words_of_name(name: str) -> list[str]:
    """`customer` and `id` of customerId, in lower case."""
    return [word.lower() for word in WORD.findall(name)]


def is_identifier(name: str) -> bool:
    """Whether a column is called like one that only numbers the rows."""
    words = words_of_name(name)
    return bool(words) and words[-1] in IDENTIFIERS
