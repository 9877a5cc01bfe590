"""The answer to a call, as its caller reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millrace.decisions.record import Decision
from millrace.decisions.road import Admitted, Rejected


def document(
    decided: Sequence[tuple[Admitted, Decision]],
    rejected: Sequence[Rejected],
    explanations: Mapping[int, Mapping[str, Any] | None] | None = None,
    *,
    acts: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """The answer: `predictions` of good rows, in the order of the request, and `rejected` for the others.

    `row` counts from 0. `explanations` are by row; None if they are not wanted. `acts` says whether the workload has a
    policy: each prediction then has its action and the reason. So has one that nobody but the fallback could
    make, since the endpoint is asleep."""
    return {
        "predictions": [
            {
                "id": decision.id,
                "row": row.number,
                **decision.told,
                "model_version": decision.model_version,
                "phase": decision.phase,
                "fallback": decision.fallback,
                **({"answered_by": decision.answered_by} if decision.answered_by else {}),
                **(
                    {"action": decision.action, "reason": decision.reason}
                    if acts or decision.reason == "asleep"
                    else {}
                ),
                **({} if explanations is None else {"explanation": _explained(decision, explanations.get(row.number))}),
            }
            for row, decision in decided
        ],
        "rejected": [
            {
                "row": found.row,
                "reason": found.reason,
                # A caller's own word may hold half a surrogate pair, which is no UTF-8.
                "column": found.column.encode(errors="backslashreplace").decode(),
                "expected": found.expected,
                "came": found.came,
            }
            for found in rejected
        ],
    }


def _explained(decision: Decision, explanation: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if decision.reason == "held_out" else explanation
