"""Answers of runs from before drops went together: each run had one drop, whose id is the run's name."""

from __future__ import annotations

from typing import Any

from console.queries.executions import Execution

REJECTED = ("source", "source_digest", "reason", "expected", "got")


def answer_of(execution: Execution, state: str) -> dict[str, Any]:
    """The answer of `ingestion`, `validation` or `delivery` in the shape of today's; {} where there is none."""
    found = execution.answer(state)
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
