"""Asks the candidate the rows that the gate `cases` names."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from millrace.evaluation.gates.cases import AnswerRange, CaseAnswer, Cases, CasesEvidence
from millrace.evaluation.measures.case import Case
from millrace.features.catalogue import encode, inputs

DIGITS = 6
"""Two numbers are the same answer if they agree to this many decimals."""


def measure(gate: Cases, case: Case) -> CasesEvidence:
    """What the candidate answers to each named row, beside what it must answer."""
    output_NW = case.outputs(encode(case.features, table_of([one.row for one in gate.rows], case)))
    answers = {name: values.tolist() for name, values in case.task.answers(output_NW).items()}
    return CasesEvidence(
        cases=tuple(
            CaseAnswer(
                name=one.name,
                reason=one.reason,
                expected=", ".join(f"{field} {value}" for field, value in one.answer.items()),
                came=", ".join(f"{field} {_shown(answers[field][number])}" for field in one.answer),
                is_right=all(_is_right(value, answers[field][number]) for field, value in one.answer.items()),
            )
            for number, one in enumerate(gate.rows)
        )
    )


def table_of(rows: list[Mapping[str, Any]], case: Case) -> pa.Table:
    """The rows with the columns that the model reads, in the types of the pinned rows. A missing cell is null."""
    columns = {}
    for name in inputs(case.features):
        kind = case.table.schema.field(name).type
        cells = [row.get(name) for row in rows]
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            cells = [base64.b64decode(cell) if isinstance(cell, str) else cell for cell in cells]
        columns[name] = (
            pa.array(cells).cast(kind) if any(cell is not None for cell in cells) else pa.nulls(len(cells), kind)
        )
    return pa.table(columns)


def _is_right(expected: Any, came: Any) -> bool:
    if isinstance(expected, AnswerRange):
        return expected.holds(came)
    if isinstance(expected, float) or (isinstance(came, float) and not isinstance(expected, str)):
        return came is not None and round(float(came) - float(expected), DIGITS) == 0
    return bool(came == expected)


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
