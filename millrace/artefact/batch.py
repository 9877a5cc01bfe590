"""What a batch transform carries: rows and answers, both as Arrow IPC streams.

The serving container imports this module: no pydantic here, and pyarrow only where a stream is made or read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.errors import AnswerError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

CONTENT_TYPE = "application/vnd.apache.arrow.stream"
ROW = "row_number"
"""int64: where the row stood in its drop, 1-based; the line of a text file, the row of a Parquet file."""
ANSWER = {"value": "int32", "probability": "float64", "confidence": "float64"}
"""The columns of an answer beside the row's number, with Arrow's types."""
VERSION = "model_version"
"""In the metadata of an answer's schema."""


def answer_schema(model_version: str) -> pa.Schema:
    """`row_number`, then the columns of an answer; the model's version is in its metadata."""
    import pyarrow as pa

    fields = [(ROW, pa.int64()), *((name, pa.type_for_alias(kind)) for name, kind in ANSWER.items())]
    return pa.schema(fields, metadata={VERSION: model_version})


def write_answers(
    numbers: pa.Array, probability: npt.NDArray[np.float32], *, threshold: float, model_version: str
) -> bytes:
    """One answer for each row number, in order."""
    import numpy as np
    import pyarrow as pa

    exact = probability.astype(np.float64)
    value = exact >= threshold
    columns = {"value": value.astype(np.int32), "probability": exact, "confidence": np.where(value, exact, 1 - exact)}
    schema = answer_schema(model_version)
    return write_stream(
        [pa.RecordBatch.from_arrays([numbers, *(pa.array(columns[name]) for name in ANSWER)], schema=schema)]
    )


def write_stream(batches: list[pa.RecordBatch]) -> bytes:
    """The batches (one at least) as an IPC stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def read_answers(body: bytes, *, model_version: str) -> pa.Table:
    """The answers of one shard; AnswerError where they are not what the container promises."""
    import pyarrow as pa

    try:
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise AnswerError(f"expected an Arrow stream, got {body[:40]!r} ({error})") from None
    expected = answer_schema(model_version)
    if not table.schema.equals(expected):
        raise AnswerError(f"expected the columns {_told(expected)}, got {_told(table.schema)}")
    version = (table.schema.metadata or {}).get(VERSION.encode(), b"").decode(errors="replace")
    if version != model_version:
        raise AnswerError(f"expected model {model_version!r}, got {version!r}")
    return table


def _told(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
