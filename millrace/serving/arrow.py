"""Reads bodies that are Arrow IPC streams, as batch transform sends them.

The tensors have the same bits as those of the same rows in JSON. This module is imported only when a stream arrives."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.artefact.batch import ROW
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.features.encoder import Encoder
from millrace.features.image import Image
from millrace.serving.cells import RequestRows
from millrace.serving.refusals import Refused, Rejection, describe, describe_image


def read(body: bytes, features: Features) -> RequestRows:
    """The rows of a stream, which has `row_number` and every column that the model reads. Raises Refused.

    Other columns are ignored: a shard has the columns that are declared now, and the version may be of an earlier
    declaration."""
    # Nothing about the stream is trusted: it is decoded whole and each buffer is checked.
    try:
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
        columns = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        expected = "an Arrow IPC stream"
        raise Refused("no Arrow stream", expected=expected, came=str(error)[:200], where="body") from None
    names = [ROW, *encoders.inputs(features)]
    if len(set(columns)) != len(columns) or not set(names).issubset(columns):
        came = ", ".join(columns)[:200]
        raise Refused("columns", expected=", ".join(names), came=came, where="body")
    table = table.select(names)
    numbers = table.column(ROW).combine_chunks()
    if numbers.type != pa.int64() or numbers.null_count or not table.num_rows:
        came = f"{table.num_rows} of {numbers.type}, {numbers.null_count} nulls"
        raise Refused("row numbers", expected="int64, one for each row, one row at least", came=came, where=ROW)
    tensors, taken = encoders.encode_taken(features, table)
    return RequestRows(tensors=tensors, numbers=numbers, rejected=_rejected(features, table, taken))


def _rejected(features: Features, table: pa.Table, taken: Mapping[str, npt.NDArray[np.bool_]]) -> dict[int, Rejection]:
    """The rows with a cell that its encoder does not take, by place, in the words that the same row in JSON gets.

    `taken` says by encoder which rows it takes."""
    # Of several such cells of a row the first in the order of the features counts.
    found: dict[int, Rejection] = {}
    for encoder in features:
        for place in np.flatnonzero(~taken[encoder.name]).tolist():
            if place not in found:
                found[place] = _rejection(encoder, table, place)
    return found


def _rejection(encoder: Encoder, table: pa.Table, place: int) -> Rejection:
    """Why the encoder does not take the cell at this place.

    Raises Refused if it would take the cell in JSON: then the type of the whole column is the fault."""
    column = table[encoder.inputs[0]]
    where, expected = f"row {table[ROW][place].as_py()}.{encoder.name}", f"a column for the encoder {encoder.kind}"
    try:
        row = {name: table[name][place].as_py() for name in encoder.inputs}
    except (ValueError, OverflowError, KeyError):  # a time that Python has not, or of a zone that it does not know
        came = f"{column[place].cast('int64')} ({column.type})"
        raise Refused("no such value", expected=expected, came=came, where=where) from None
    cell = row[encoder.inputs[0]]
    # The row once more, as a request in JSON would have it: the encoder's error has the words.
    try:
        encoder.encode_one(row)
    except ValueError as error:
        came = describe_image(cell) if isinstance(encoder, Image) else describe(cell)
        return {"column": encoder.name, "expected": str(error), "came": came}
    raise Refused("no such value", expected=expected, came=f"{describe(cell)} ({column.type})", where=where)
