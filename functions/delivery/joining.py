"""Joins accepted rows with the transform's answers, and checks that every row is answered once, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from millrace.artefact.batch import LIKENESS, PREDICTION, REASON, REJECTED, ROW, VERSION, answer_schema
from millrace.contract.schema import LINE
from millrace.decisions.policy import Acting, act_all
from millrace.decisions.record import canonical
from millrace.decisions.scored import ACTION_COLUMNS
from millrace.errors import AnswerError
from millrace.tasks.answer import arrow_type
from millrace.timestamps import of_micros

if TYPE_CHECKING:
    from millrace.decisions.chain import Instead
    from millrace.tasks.task import AnswerField
    from millrace.workload.declaration import Prediction


def join(
    batches: Iterable[pa.RecordBatch],
    answers: Iterable[pa.Table],
    *,
    fields: Sequence[AnswerField],
    schema: pa.Schema,
    model_version: str,
    refuse: Callable[[pa.Table], object],
) -> Iterator[pa.RecordBatch]:
    """The batches of accepted rows with their answers, in `schema`. A row has the contract's columns and `_line`.

    `answers` come shard by shard, as `read_answers` returns them. Rows that the model did not answer, or answered
    outside of a field's range, go to `refuse`, with the struct `rejected`, and not into the batches. Raises AnswerError
    for an answer that is missing or out of order, and for one answer too many."""
    # Batches and shards have different lengths, so answers are taken as many at a time as a batch has rows.
    waiting = _Answers(answers, answer_schema("", fields).empty_table())
    for batch in batches:
        found = waiting.take(batch.num_rows)
        _check_numbers(found, batch.column(LINE))
        if REJECTED in found.column_names and found.column(REJECTED).null_count < batch.num_rows:
            batch, found = _without_rejected(batch, found, refuse)
        for field in fields:
            batch, found = _without_bad(batch, found, field, refuse)
        yield _joined(batch, found, fields, schema, model_version)
    if extra := waiting.rest():
        raise AnswerError(f"expected one answer for each row, got {extra} more")


def dated(batch: pa.RecordBatch, prediction: Prediction) -> pa.RecordBatch:
    """The delivered rows with the moment that each answer is for; unchanged if that is the row's own."""
    for field in prediction.dates:
        # Rows of many entities share their times: each is said once.
        times = batch.column(prediction.event_time).cast(pa.timestamp("us")).cast(pa.int64()).dictionary_encode()
        moments = map(of_micros, times.dictionary.to_pylist())
        said = [moment and prediction.predicted_for(moment) for moment in moments]
        batch = batch.append_column(field.name, pa.array(said, arrow_type(field)).take(times.indices))
    return batch


def acted(
    batch: pa.RecordBatch,
    acting: Acting,
    schema: pa.Schema,
    *,
    event_time: str,
    key: Sequence[str],
    fields: Sequence[AnswerField],
    instead: Sequence[Instead | None] = (),
) -> pa.RecordBatch:
    """The delivered rows with what the policy does with each answer, in `schema`: the columns `action` and `reason`.

    An answer that is held out is left empty: it shall influence nobody. With a floor there are FLOOR_COLUMNS too. If
    the version is below it, `instead` answers the rows where it is one, and the version's answers to them go into
    `withheld`."""
    rows = pa.Table.from_batches([batch])
    below = [one is not None for one in instead]
    found = act_all(acting, answers=rows, cells=rows, event_time=event_time, key=key, below_floor=below)
    for name in ACTION_COLUMNS:
        rows = rows.append_column(name, found[name].cast(pa.string()))
    said = [field.name for field in fields]
    if acting.policy.floor:
        rows = _above_floor(rows, fields, instead or [None] * len(rows))
        said.append("withheld")
    if acting.policy.held_out:
        kept = pc.not_equal(found["reason"], "held_out")
        for name in said:
            place, column = rows.column_names.index(name), rows[name]
            rows = rows.set_column(
                place, rows.schema.field(place), pc.if_else(kept, column, pa.scalar(None, column.type))
            )
    return rows.select(schema.names).combine_chunks().to_batches()[0]


def _above_floor(rows: pa.Table, fields: Sequence[AnswerField], instead: Sequence[Instead | None]) -> pa.Table:
    """The rows with FLOOR_COLUMNS, and with the answer `instead` where there is one."""
    said: list[str | None] = [None] * len(rows)
    if any(instead):
        names = [field.name for field in fields]
        answers, versions = rows.select(names).to_pylist(), rows[VERSION].to_pylist()
        for place, other in enumerate(instead):
            if other:
                said[place] = canonical({"model_version": versions[place], "output": answers[place]})
                answers[place], versions[place] = other.output, None
        columns = {name: [answer[name] for answer in answers] for name in names}
        for name, cells in {**columns, VERSION: versions}.items():
            place = rows.column_names.index(name)
            kept = rows.schema.field(place)
            rows = rows.set_column(place, kept, pa.array(cells, kept.type))
    by = pa.array([other and other.answered_by for other in instead], pa.string())
    return rows.append_column("answered_by", by).append_column("withheld", pa.array(said, pa.string()))


class _Answers:
    """The answers in order; any number can be taken from the front. At most one shard and a rest are in memory."""

    def __init__(self, tables: Iterable[pa.Table], none: pa.Table) -> None:
        """`none` is a table without answers."""
        self._tables = iter(tables)
        self._left: list[pa.Table] = [none]

    def take(self, rows: int) -> pa.Table:
        """The next answers, at most `rows` of them; fewer at the end."""
        while sum(table.num_rows for table in self._left) < rows:
            if (more := next(self._tables, None)) is None:
                break
            self._left.append(more)
        # Shards with rejected rows have one column more, which is null for the rows of other shards.
        whole = pa.concat_tables(self._left, promote_options="default")
        self._left = [whole.slice(rows)]
        return whole.slice(0, rows).combine_chunks()

    def rest(self) -> int:
        """How many answers nobody has taken."""
        return sum(table.num_rows for table in (*self._left, *self._tables))


def _without_rejected(
    batch: pa.RecordBatch, found: pa.Table, refuse: Callable[[pa.Table], object]
) -> tuple[pa.RecordBatch, pa.Table]:
    """The answered rows and their answers; the rejected rows go to `refuse`, with the reason as a struct."""
    reasons = found.column(REJECTED).combine_chunks()
    answered = reasons.is_null()
    refuse(pa.Table.from_batches([batch]).append_column(REJECTED, reasons).filter(reasons.is_valid()))
    return batch.filter(answered), found.filter(answered).combine_chunks()


def _check_numbers(found: pa.Table, lines: pa.Array) -> None:
    """Raise AnswerError unless the answers have the numbers of the rows, in the same order."""
    numbers = found.column(ROW).combine_chunks()
    if not numbers.equals(lines):
        expected, came = lines.to_pylist(), numbers.to_pylist()
        # The first row that differs, or the first one without an answer.
        at = next((at for at, pair in enumerate(zip(expected, came, strict=False)) if pair[0] != pair[1]), len(came))
        got = f"the one to row {came[at]}" if at < len(came) else "none"
        raise AnswerError(f"expected the answer to row {expected[at]}, got {got}")


def _without_bad(
    batch: pa.RecordBatch, found: pa.Table, field: AnswerField, refuse: Callable[[pa.Table], object]
) -> tuple[pa.RecordBatch, pa.Table]:
    """The rows whose answer the field allows; the others go to `refuse`: the checks of `read_answer` for all cells."""
    column = found.column(field.name)
    good = _in_range(column, field)
    if good is None or pc.all(good, min_count=0).as_py():
        return batch, found
    bad = pc.invert(good)
    expected = f"{field.name}: " + ("finite numbers" if field.most is None else f"numbers from 0 to {field.most}")
    reasons = pa.array(
        [
            dict(zip(REASON, (PREDICTION, expected, f"{came!r:.80}"), strict=True))
            for came in column.filter(bad).to_pylist()
        ]
    )
    refuse(pa.Table.from_batches([batch.filter(bad)]).append_column(REJECTED, reasons))
    return batch.filter(good), found.filter(good)


def _in_range(column: pa.ChunkedArray, field: AnswerField) -> pa.Array | None:
    """Whether each answer is in the range of its field (N); None for a field of text.

    Raises AnswerError for a cell that is missing, and for a list of another length."""
    _check_present(column, field)
    # A list is checked by its length first, then all its items like single cells.
    if field.length:
        lengths = pc.list_value_length(column)
        if not pc.all(pc.equal(lengths, field.length), min_count=0).as_py():
            raise AnswerError(f"{field.name}: expected lists of {field.length}, got some of other lengths")
        column = pc.list_flatten(column)
        _check_present(column, field)
    if field.kind == "text" or (field.kind == "integer" and field.most is None):
        return None
    # NaN is in no range.
    good = (
        pc.is_finite(column)
        if field.most is None
        else pc.and_(pc.greater_equal(column, 0), pc.less_equal(column, field.most))
    )
    good = pc.fill_null(good, True).combine_chunks()
    if field.length:
        return pa.array(good.to_numpy(zero_copy_only=False).reshape(-1, field.length).all(axis=1))
    return good


def _check_present(column: pa.ChunkedArray, field: AnswerField) -> None:
    if column.null_count and not field.optional:
        raise AnswerError(f"{field.name}: expected a value in every row, got {column.null_count} nulls")


def _joined(
    batch: pa.RecordBatch, found: pa.Table, fields: Sequence[AnswerField], schema: pa.Schema, model_version: str
) -> pa.RecordBatch:
    answer = {field.name: found.column(field.name).combine_chunks() for field in fields}
    # Columns of the delivered file come from the answer if it has one of that name, otherwise from the row.
    answer[VERSION] = pa.repeat(pa.scalar(model_version, pa.string()), batch.num_rows)
    answer[ROW] = batch.column(LINE)
    if LIKENESS in schema.names:
        # A version that was trained without this part of the policy measures no likeness.
        measured = LIKENESS in found.column_names
        answer[LIKENESS] = found[LIKENESS].combine_chunks() if measured else pa.nulls(batch.num_rows, pa.float64())
    columns = [answer[name] if name in answer else batch.column(name) for name in schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
