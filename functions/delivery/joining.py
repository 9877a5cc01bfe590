"""Accepted rows and the transform's answers, put together again: every row answered once, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from millrace.artefact.batch import ANSWER, ROW, VERSION, answer_schema
from millrace.contract.arrow import LINE
from millrace.errors import AnswerError

if TYPE_CHECKING:
    import pyarrow as pa


def join(
    batches: Iterable[pa.RecordBatch], answers: Iterable[pa.Table], *, schema: pa.Schema, model_version: str
) -> Iterator[pa.RecordBatch]:
    """The batches of accepted rows (contract columns and `_line`) with their answers, in `schema`.

    `answers` come shard by shard, as `read_answers` gives them. Raises AnswerError for an answer that is missing, too
    many, out of order or out of its range."""
    waiting = _Answers(answers)
    for batch in batches:
        found = waiting.take(batch.num_rows)
        _check(found, batch.column(LINE))
        yield _joined(batch, found, schema, model_version)
    if extra := waiting.rest():
        raise AnswerError(f"expected one answer for each row, got {extra} more")


class _Answers:
    """Answers in order, of which any number can be taken; at most one shard and a remainder are in memory."""

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        self._tables = iter(tables)
        self._left: list[pa.Table] = [answer_schema("").empty_table()]

    def take(self, rows: int) -> pa.Table:
        """The next answers, `rows` at most."""
        import pyarrow as pa

        while sum(table.num_rows for table in self._left) < rows:
            if (more := next(self._tables, None)) is None:
                break
            self._left.append(more)
        whole = pa.concat_tables(self._left)
        self._left = [whole.slice(rows)]
        return whole.slice(0, rows).combine_chunks()

    def rest(self) -> int:
        return sum(table.num_rows for table in (*self._left, *self._tables))


def _check(found: pa.Table, lines: pa.Array) -> None:
    import pyarrow.compute as pc

    numbers = found.column(ROW).combine_chunks()
    if not numbers.equals(lines):
        expected, came = lines.to_pylist(), numbers.to_pylist()
        at = next((at for at, pair in enumerate(zip(expected, came, strict=False)) if pair[0] != pair[1]), len(came))
        got = f"the one to row {came[at]}" if at < len(came) else "none"
        raise AnswerError(f"expected the answer to row {expected[at]}, got {got}")
    for name in ANSWER:
        column = found.column(name)
        extremes = pc.min_max(column)
        low, high = extremes["min"].as_py(), extremes["max"].as_py()
        if len(column) and (column.null_count or not (low >= 0 and high <= 1) or _has_nan(column)):
            raise AnswerError(f"{name}: expected numbers from 0 to 1, got {low} to {high}, {column.null_count} nulls")


def _has_nan(column: pa.ChunkedArray) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa.types.is_floating(column.type) and bool(pc.any(pc.is_nan(column)).as_py())


def _joined(batch: pa.RecordBatch, found: pa.Table, schema: pa.Schema, model_version: str) -> pa.RecordBatch:
    import pyarrow as pa

    answer = {name: found.column(name).combine_chunks() for name in ANSWER}
    columns = {**answer, VERSION: pa.repeat(pa.scalar(model_version), batch.num_rows), ROW: batch.column(LINE)}
    return pa.RecordBatch.from_arrays(
        [columns[name] if name in columns else batch.column(name) for name in schema.names], schema=schema
    )
