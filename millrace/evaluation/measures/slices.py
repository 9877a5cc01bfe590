"""Measures the error of each slice of the test rows."""

from __future__ import annotations

from millrace.evaluation.gates.slices import SliceFigures, Slices, SlicesEvidence
from millrace.evaluation.measures.case import Case
from millrace.evaluation.measures.groups import groups


def measure(gate: Slices, case: Case) -> SlicesEvidence:
    """The slices by column and value; a slice with fewer than the gate's `minimum_rows` has no error."""
    return SlicesEvidence(
        slices=tuple(
            SliceFigures(
                column=group.column,
                value=group.value,
                rows=group.rows,
                error=case.bootstrap.mean(case.errors, group.rows_T) if group.rows >= gate.minimum_rows else None,
            )
            for group in groups(case, gate.columns)
        )
    )
