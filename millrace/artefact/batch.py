"""What a batch transform carries: rows and answers, both as Arrow IPC streams.

The serving container imports this module: no pydantic here, and pyarrow only where a stream is made or read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millrace.contract.reasons import Reason
from millrace.errors import AnswerError
from millrace.tasks.answer import arrow_column, arrow_type

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Table
    from millrace.tasks.task import AnswerField

CONTENT_TYPE = "application/vnd.apache.arrow.stream"
ROW = "row_number"
"""int64: where the row stood in its drop, 1-based; the line of a text file, the row of a Parquet file."""
VERSION = "model_version"
"""In the metadata of an answer's schema."""
REJECTED = "rejected"
"""Why a row has no answer, a struct of REASON: the version does not take one of its cells, or its answer is no finite
number; null for a row with one. Only a stream with such a row has the column."""
REASON = ("column", "expected", "came")
"""What was expected of which column, and what came; all text."""


def reason_of(column: str, table: Table) -> Reason:
    """The code for a row that the container rejected for this column: an image that cannot be decoded has its own."""
    is_image = column in table.names and table.column(column).kind == "binary"
    return Reason.IMAGE if is_image else Reason.MODEL


def answer_schema(model_version: str, fields: Sequence[AnswerField], *, rejects: bool = False) -> pa.Schema:
    """`row_number`, the fields of an answer, `rejected` where it is so; the model's version is in its metadata."""
    import pyarrow as pa

    columns = [(ROW, pa.int64()), *((field.name, arrow_type(field)) for field in fields)]
    if rejects:
        columns.append((REJECTED, pa.struct([(name, pa.string()) for name in REASON])))
    return pa.schema(columns, metadata={VERSION: model_version})


def write_answers(
    numbers: pa.Array,
    answers: Mapping[str, npt.NDArray[Any]],
    *,
    model_version: str,
    fields: Sequence[AnswerField],
    rejected: Mapping[int, Mapping[str, str]] | None = None,
) -> bytes:
    """The answers of a task for the row numbers, in order; none for the `rejected`, by their place from 0."""
    import pyarrow as pa

    schema = answer_schema(model_version, fields, rejects=bool(rejected))
    columns = [arrow_column(field, answers[field.name]) for field in fields]
    if rejected:
        # The place of each row's answer among the answers; `take` makes null of None: of rows 0, 1, 2 with 1 rejected
        # the places are 0, None, 1.
        answered = iter(range(len(numbers)))
        places = pa.array([None if at in rejected else next(answered) for at in range(len(numbers))], pa.int64())
        columns = [column.take(places) for column in columns]
        columns.append(pa.array([rejected.get(at) for at in range(len(numbers))], schema.field(REJECTED).type))
    return write_stream([pa.RecordBatch.from_arrays([numbers, *columns], schema=schema)])


def write_stream(batches: list[pa.RecordBatch]) -> bytes:
    """The batches (one at least) as an IPC stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def read_answers(body: bytes, *, model_version: str, fields: Sequence[AnswerField]) -> pa.Table:
    """The answers of one shard; AnswerError where they are not what the container promises."""
    import pyarrow as pa

    try:
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise AnswerError(f"expected an Arrow stream, got {body[:40]!r} ({error})") from None
    expected = answer_schema(model_version, fields, rejects=REJECTED in table.column_names)
    if not table.schema.equals(expected):
        raise AnswerError(f"expected the columns {_describe(expected)}, got {_describe(table.schema)}")
    version = (table.schema.metadata or {}).get(VERSION.encode(), b"").decode(errors="replace")
    if version != model_version:
        raise AnswerError(f"expected model {model_version!r}, got {version!r}")
    return table


def _describe(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
