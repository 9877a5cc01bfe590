"""Bodies that are Arrow IPC streams, as batch transform sends them; imported only when one arrives.

The tensors are bit for bit those of the same rows in JSON."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.serving.rows import Refused, Rejection, RequestRows, describe, describe_image
from millrace.artefact.batch import ROW
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.features.encoder import Encoder
from millrace.features.image import Image


def read(body: bytes, features: Features) -> RequestRows:
    """The rows of a stream with `row_number` and a column for each of the model's; raises Refused.

    Other columns count for nothing: a shard has what is declared, and the version may be of an earlier declaration."""
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
    images = encoders.images(features)
    for encoder in features:
        if encoder not in images:
            _check(encoder, table)
    tensors, taken = encoders.encode_decodable(features, table)
    return RequestRows(tensors=tensors, numbers=numbers, rejected=_rejected(images, table, taken))


def _rejected(
    images: tuple[Image, ...], table: pa.Table, taken: Mapping[str, npt.NDArray[np.bool_]]
) -> dict[int, Rejection]:
    """The rows with a cell that is no image, in the words that the same row in JSON gets."""
    found: dict[int, Rejection] = {}
    for image in images:
        for place in np.flatnonzero(~taken[image.name]).tolist():
            cell = table[image.name][place].as_py()
            try:
                image.encode_one({image.name: cell})
            except ValueError as error:
                found.setdefault(place, {"column": image.name, "expected": str(error), "came": describe_image(cell)})
    return found


def _check(encoder: Encoder, table: pa.Table) -> None:
    """Refuse the first row that the encoder does not take, in the words that the same row in JSON gets."""
    taken_N = encoder.takes(table)
    if taken_N.all():
        return
    at = int(np.argmin(taken_N))
    row = {name: table[name][at].as_py() for name in encoder.inputs}
    kind = table[encoder.inputs[0]].type
    try:
        encoder.encode_one(row)
        expected = f"a column for the encoder {encoder.kind}"
    except ValueError as error:
        expected = str(error)
    came = f"{describe(row[encoder.inputs[0]])} ({kind})"
    raise Refused("no such value", expected=expected, came=came, where=f"row {table[ROW][at].as_py()}.{encoder.name}")
