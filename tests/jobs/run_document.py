"""What the function `snapshot` writes for the jobs of a run: `run.json`."""

from __future__ import annotations

from typing import Any


def run_document(**words: Any) -> dict[str, Any]:
    """That of a first run; `words` are its rows, its time and what differs."""
    digests = {f"{link}_digest": link for link in ("data", "contract", "config", "code")}
    run = {"run": "run-1", "snapshot_id": 1, "tag": "run-1", "rows": 1, "reason": "first", "gate": "baseline"}
    return {**run, **digests, **words}
