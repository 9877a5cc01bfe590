"""Accepted rows and the transform's answers, put together again: every row answered once, in order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from millrace.contract.arrow import LINE
from millrace.decisions.prediction import read_output
from millrace.decisions.record import Output
from millrace.errors import AnswerError
from millrace.messages.score import ANSWER

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One line of the transform's output."""

    id: str
    output: Output
    model_version: str


def read_line(line: bytes) -> Answered:
    """One answer; AnswerError where the line is not what the container promises."""
    try:
        document = json.loads(line)
    except ValueError as error:
        raise AnswerError(f"expected a JSON line, got {line[:80]!r} ({error})") from None
    output = read_output(document)
    name, version = document.get("id"), document.get("model_version")
    if not isinstance(name, str) or not isinstance(version, str):
        raise AnswerError(f"expected an id and a model_version as text, got {line[:80]!r}")
    return Answered(id=name, output=output, model_version=version)


def join(
    batches: Iterable[pa.RecordBatch], answers: Iterable[Answered], *, schema: pa.Schema, model_version: str
) -> Iterator[pa.RecordBatch]:
    """The batches of accepted rows (contract columns and `_line`) with their answers, in `schema`.

    The n-th accepted row of the drop, counted from 0, has the id "n". Raises AnswerError for an answer that is
    missing, too many, out of order or of another model."""
    waiting = iter(answers)
    number = 0
    for batch in batches:
        found = list(islice(waiting, batch.num_rows))
        _check(found, first=number, rows=batch.num_rows, model_version=model_version)
        number += batch.num_rows
        yield _joined(batch, found, schema)
    if (extra := next(waiting, None)) is not None:
        raise AnswerError(f"expected {number} answers, got another with the id {extra.id!r}")


def _check(found: list[Answered], *, first: int, rows: int, model_version: str) -> None:
    for number, answer in enumerate(found, first):
        if answer.id != str(number):
            raise AnswerError(f"expected the answer to row {number}, got the one to {answer.id!r}")
        if answer.model_version != model_version:
            raise AnswerError(f"row {number}: expected model {model_version!r}, got {answer.model_version!r}")
    if len(found) != rows:
        raise AnswerError(f"expected {first + rows} answers or more, got {first + len(found)}")


def _joined(batch: pa.RecordBatch, found: list[Answered], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    outputs = [answer.output for answer in found]
    answered = [
        [output.value for output in outputs],
        [output.probability for output in outputs],
        [output.confidence for output in outputs],
        [answer.model_version for answer in found],
        batch.column(LINE),
    ]
    rows = [batch.column(field.name) for field in schema if field.name not in ANSWER]
    kinds = [schema.field(name).type for name in ANSWER]
    return pa.RecordBatch.from_arrays([*rows, *map(pa.array, answered, kinds)], schema=schema)
