"""Bodies that are Arrow IPC streams, as batch transform sends them; imported only when one arrives.

The input of the model is bit for bit that of the same rows in JSON: a number goes through float64, as JSON's do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.serving.rows import FLOAT32_MAX, Refused, Rows, told
from millrace.artefact.batch import ROW

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.features.encoding import Feature

    Column = npt.NDArray[np.float32]


def read(body: bytes, features: Sequence[Feature]) -> Rows:
    """The rows of a stream with `row_number` and a column for each feature; raises Refused."""
    try:
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        expected = "an Arrow IPC stream"
        raise Refused("no Arrow stream", expected=expected, came=str(error)[:200], where="body") from None
    names = [ROW, *(feature.name for feature in features)]
    if sorted(table.column_names) != sorted(names):
        came = ", ".join(table.column_names)[:200]
        raise Refused("columns", expected=", ".join(names), came=came, where="body")
    numbers = table.column(ROW).combine_chunks()
    if numbers.type != pa.int64() or numbers.null_count or not table.num_rows:
        came = f"{table.num_rows} of {numbers.type}, {numbers.null_count} nulls"
        raise Refused("row numbers", expected="int64, one for each row, one row at least", came=came, where=ROW)
    columns = [column for feature in features for column in _columns(table.column(feature.name), feature, numbers)]
    return Rows(values=np.stack(columns, axis=1), numbers=numbers)


def _columns(column: pa.ChunkedArray, feature: Feature, numbers: pa.Array) -> list[Column]:
    """The columns of the model's input that the feature has."""
    cells = column.combine_chunks()
    missing = np.asarray(pc.is_null(cells))
    allowed_missing = missing & feature.optional
    if feature.categories:
        categories = pa.array(feature.categories)
        if cells.type != categories.type:
            _refuse(feature, numbers, cells, 0)
        place = pc.index_in(cells, value_set=categories).fill_null(-1).to_numpy()
        _check((place >= 0) | allowed_missing, feature, numbers, cells)
        return [(place == at).astype(np.float32) for at in range(len(categories))]
    if not pa.types.is_integer(cells.type) and not pa.types.is_floating(cells.type):
        _refuse(feature, numbers, cells, 0)
    exact = cells.to_numpy(zero_copy_only=False).astype(np.float64)
    exact[missing] = np.nan
    _check((np.abs(exact) <= FLOAT32_MAX) | allowed_missing, feature, numbers, cells)
    return [exact.astype(np.float32), *([missing.astype(np.float32)] if feature.optional else [])]


def _check(good: npt.NDArray[np.bool_], feature: Feature, numbers: pa.Array, cells: pa.Array) -> None:
    if not good.all():
        _refuse(feature, numbers, cells, int(np.argmin(good)))


def _refuse(feature: Feature, numbers: pa.Array, cells: pa.Array, at: int) -> NoReturn:
    expected = f"one of {feature.categories}"[:200] if feature.categories else "a finite number of float32"
    where = f"row {numbers[at].as_py()}.{feature.name}"
    raise Refused("no such value", expected=expected, came=f"{told(cells[at].as_py())} ({cells.type})", where=where)
