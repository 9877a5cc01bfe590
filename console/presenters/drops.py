"""What the runs of a drop have in common, ingested or scored."""

from __future__ import annotations

from collections.abc import Sequence

from console.presenters.presenter import Document
from console.queries.quarantine import ReasonCount
from console.words import listed


def dropped_object(_: Document, detail: Document) -> str:
    """The drop's key below the workload: `training/1996-05.parquet`."""
    objects = detail.get("objects") or [{}]
    return str(objects[0].get("key", "")).partition("/")[2]


def row_counts(good: int, quarantined: int) -> str:
    """`1,488 rows, 48 quarantined`."""
    return f"{good:,} rows" + (f", {quarantined:,} quarantined" if quarantined else "")


def quarantined_rows(refused: Sequence[ReasonCount]) -> str:
    """`48 quarantined (duplicate key): timestamp: expected …`."""
    rows = sum(each.rows for each in refused)
    return f"{rows:,} quarantined ({listed([each.reason for each in refused])}): {refused[0].example}"
