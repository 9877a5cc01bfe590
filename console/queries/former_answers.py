"""Answers of former runs, of the time when each run had one drop and the drop's id was the run's name."""

from __future__ import annotations

from typing import Any

from console.queries.executions import Execution

REJECTED = ("source", "source_digest", "reason", "expected", "got")
"""The fields of a rejected drop that former answers have, too."""


def answer_of(execution: Execution, state: str) -> dict[str, Any]:
    """The answer of `ingestion`, `validation` or `delivery` in its present shape; {} if there is none."""
    found = execution.answer(state)
    # It has the present shape already.
    if not found or "drops" in found or "outcome" in found:
        return found
    drop_id = execution.name
    if state != "ingestion":
        return {"drops": [{"drop_id": drop_id, **found}]}
    if not found.get("rejected"):
        return {"outcome": "parsed"}
    detail = execution.input.get("detail") or {}
    drop = {name: found.get(name, "") for name in REJECTED} | {
        "drop_id": drop_id,
        "feed": detail.get("feed", "scoring"),
    }
    return {"outcome": "rejected", "rejected": [drop]}
