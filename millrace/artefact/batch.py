"""The rows and the answers of a batch transform, both as Arrow IPC streams.

The serving container imports this module: so no pydantic here, and pyarrow only where a stream is made or read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millrace.contract.reasons import Reason
from millrace.errors import AnswerError
from millrace.tasks.answer import EXPECTED_COST, arrow_column, arrow_type

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Table
    from millrace.tasks.task import AnswerField

CONTENT_TYPE = "application/vnd.apache.arrow.stream"
ROW = "row_number"
"""The column with the place of a row in its drop, int64, counted from 1.

It is the line of a text file, or the row of a Parquet file."""
VERSION = "model_version"
"""The key of the model's version in the metadata of an answer's schema."""
LIKENESS = "likeness"
"""The column, and the measure, of how like the training rows a row is; of a model that measures it."""
REJECTED = "rejected"
"""The column that says why a row has no answer, a struct of REASON; null for a row with an answer.

A row has no answer if the version does not take one of its cells, or if its answer is not finite or not in its range.
Only a stream with such a row has this column."""
REASON = ("column", "expected", "came")
"""The fields of the struct, all text: the column, what was expected of it, and what came."""
PREDICTION = "prediction"
"""The column of the reason where it is the answer that is not finite or not in its range."""


def reason_of(column: str, table: Table) -> Reason:
    """The reason code of a row that the container rejected for this column: IMAGE for an image, else MODEL.

    An image is rejected if it cannot be decoded."""
    is_image = column in table.names and table.column(column).kind == "binary"
    return Reason.IMAGE if is_image else Reason.MODEL


def answer_schema(
    model_version: str, fields: Sequence[AnswerField], *, measures: bool = False, rejects: bool = False
) -> pa.Schema:
    """The columns of an answer: `row_number`, the fields of the task's answer, then `likeness` and `rejected`, if it
    has them.

    The schema's metadata holds the model's version."""
    import pyarrow as pa

    columns = [(ROW, pa.int64()), *((field.name, arrow_type(field)) for field in fields)]
    if measures:
        columns.append((LIKENESS, pa.float64()))
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
    """The answers of a task as a stream, one row for each of the row numbers, in order.

    `answers` may have LIKENESS beside the fields. `rejected` has the REASON of each row without an answer, by its place
    from 0; `answers` has no entry for it."""
    import pyarrow as pa

    schema = answer_schema(model_version, fields, measures=LIKENESS in answers, rejects=bool(rejected))
    columns = [arrow_column(field, answers[field.name]) for field in fields]
    if LIKENESS in answers:
        columns.append(pa.array(answers[LIKENESS], pa.float64()))
    if rejected:
        # The place of each row's answer among the answers: if row 1 of the rows 0, 1, 2 is rejected, the places are 0,
        # None, 1. `take` gives null for None.
        answered = iter(range(len(numbers)))
        places = pa.array([None if at in rejected else next(answered) for at in range(len(numbers))], pa.int64())
        columns = [column.take(places) for column in columns]
        columns.append(pa.array([rejected.get(at) for at in range(len(numbers))], schema.field(REJECTED).type))
    return write_stream([pa.RecordBatch.from_arrays([numbers, *columns], schema=schema)])


def write_rows(rows: pa.Table) -> bytes:
    """The rows as the stream of a shard, numbered from 1."""
    import pyarrow as pa

    numbers = pa.array(range(1, len(rows) + 1), pa.int64())
    return write_stream(rows.add_column(0, ROW, numbers).combine_chunks().to_batches())


def join_rows(streams: Iterable[bytes]) -> bytes:
    """The rows of several such streams as one, numbered from 1."""
    import pyarrow as pa

    return write_rows(pa.concat_tables(pa.ipc.open_stream(one).read_all().drop_columns([ROW]) for one in streams))


def write_stream(batches: list[pa.RecordBatch]) -> bytes:
    """The batches, at least one, as an Arrow IPC stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def read_answers(body: bytes, *, model_version: str, fields: Sequence[AnswerField]) -> pa.Table:
    """The answers of one shard.

    Raises AnswerError if the body is no Arrow stream, has other columns, or comes from another model version."""
    import pyarrow as pa

    try:
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise AnswerError(f"expected an Arrow stream, got {body[:40]!r} ({error})") from None
    table = _with_cost(table, fields)
    names = table.column_names
    expected = answer_schema(model_version, fields, measures=LIKENESS in names, rejects=REJECTED in names)
    if not table.schema.equals(expected):
        raise AnswerError(f"expected the columns {_describe(expected)}, got {_describe(table.schema)}")
    version = (table.schema.metadata or {}).get(VERSION.encode(), b"").decode(errors="replace")
    if version != model_version:
        raise AnswerError(f"expected model {model_version!r}, got {version!r}")
    return table


def _with_cost(table: pa.Table, fields: Sequence[AnswerField]) -> pa.Table:
    """The answers with the column EXPECTED_COST where `fields` have it, and without it where they do not.

    The live version may have been trained before its workload declared costs, or while it did."""
    import pyarrow as pa

    names = [field.name for field in fields]
    if EXPECTED_COST in names and EXPECTED_COST not in table.column_names:
        # After the row's number and the fields before it.
        at = 1 + names.index(EXPECTED_COST)
        return table.add_column(at, EXPECTED_COST, pa.nulls(len(table), pa.float64()))
    if EXPECTED_COST in table.column_names and EXPECTED_COST not in names:
        return table.drop_columns([EXPECTED_COST])
    return table


def _describe(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
