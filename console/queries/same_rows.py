"""Find the rows of one table that another table has too, cell by cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from millrace.contract.deduplicate import key_of

if TYPE_CHECKING:
    import pyarrow as pa


def also_in(rows: pa.Table, there: Iterable[pa.Table], *, key: tuple[str, ...], columns: Sequence[str]) -> pa.Table:
    """The rows, in their order, that one of the tables `there` has with the same cells in these columns. The key is one
    of them.

    A table may lack a column that is younger than its rows, and its numbers may have another width. All lists of a
    column have the same length."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # One table of both, so that Arrow brings types and missing columns into line. The first rows are `rows`.
    both = pa.concat_tables(
        [rows.select(columns), *(one.select([name for name in columns if name in one.column_names]) for one in there)],
        promote_options="permissive",
    ).combine_chunks()
    own, now = both.slice(0, rows.num_rows), both.slice(rows.num_rows)
    # For each row the place of its key in the other tables; null if it is not there.
    places = pc.index_in(key_of(own, key), value_set=key_of(now, key), skip_nulls=True)
    is_there = places.is_valid()
    rows, own, now = rows.filter(is_there), own.filter(is_there), now.take(places.drop_null())
    is_same = pa.repeat(True, rows.num_rows)
    for name in columns:
        is_same = pc.and_(is_same, _is_same(own[name].combine_chunks(), now[name].combine_chunks()))
    return rows.filter(is_same).combine_chunks()


def _is_same(own: Any, now: Any) -> Any:
    """For each row, whether both cells are equal or both are missing."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    # No table has any value in this column.
    if pa.types.is_null(own.type):
        return pa.repeat(True, len(own))
    if not pa.types.is_nested(own.type):
        is_missing = pc.and_(pc.is_null(own, nan_is_null=True), pc.is_null(now, nan_is_null=True))
        return pc.or_(pc.fill_null(pc.equal(own, now), False), is_missing)
    # Lists: compare the flat cells, then fold them into rows of equal length and require all to be the same.
    whole = pc.and_(own.is_valid(), now.is_valid())
    same_N = np.array(pc.and_(own.is_null(), now.is_null()))
    if count := pc.sum(whole).as_py():
        cells = _is_same(own.filter(whole).flatten(), now.filter(whole).flatten())
        same_N[np.array(whole)] = np.array(cells).reshape(count, -1).all(axis=1)
    return pa.array(same_N)
