"""What the caller reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from millrace.decisions.prediction import Admitted, Rejected
from millrace.decisions.record import Decision


def document(
    rows: Sequence[Admitted], decisions: Sequence[Decision], rejected: Sequence[Rejected]
) -> dict[str, list[dict[str, Any]]]:
    """`predictions` in the order of the request's good rows, `rejected` for the others; `row` counts from 0."""
    return {
        "predictions": [
            {
                "id": decision.id,
                "row": row.number,
                "value": decision.output.value,
                "probability": decision.output.probability,
                "confidence": decision.output.confidence,
                "model_version": decision.model_version,
                "phase": decision.phase,
                "fallback": decision.fallback,
            }
            for row, decision in zip(rows, decisions, strict=True)
        ],
        "rejected": [
            {
                "row": found.row,
                "reason": found.reason,
                "column": found.column,
                "expected": found.expected,
                "came": found.came,
            }
            for found in rejected
        ],
    }
