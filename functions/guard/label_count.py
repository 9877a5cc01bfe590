"""How many labels have come, from the Iceberg table's own metadata: two requests, no reader of tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from millrace.aws.objects import read_object
from millrace.datasets.notes import LABELS_SNAPSHOT, WITHDRAWN


def count_labels(glue: Any, s3: Any, *, database: str, table: str) -> int:
    """Rows of the table's current snapshot; 0 while there is no table or nothing in it.

    `glue` and `s3` are boto3's clients. Source: `total-records` of the snapshot summary, Iceberg's table specification,
    which every writer of this project leaves there."""
    metadata = _metadata(glue, s3, database=database, table=table)
    current = metadata.get("current-snapshot-id")
    summaries = {snapshot["snapshot-id"]: snapshot["summary"] for snapshot in metadata.get("snapshots", [])}
    return int(summaries[current]["total-records"]) if current in summaries else 0


def count_new_rows(glue: Any, s3: Any, *, database: str, table: str, runs: Iterable[str]) -> int:
    """Rows that were dropped since the newest snapshot that one of the train executions pinned: each is the truth of
    an earlier one where a label lies ahead. `runs` are the beginnings of their names.

    Rows that late labels completed are not counted, their labels are. 0 where no pinned snapshot is known."""
    metadata = _metadata(glue, s3, database=database, table=table)
    snapshots = {snapshot["snapshot-id"]: snapshot for snapshot in metadata.get("snapshots", [])}
    refs, begin = metadata.get("refs", {}), tuple(runs)
    pinned = {ref["snapshot-id"] for name, ref in refs.items() if name.startswith(begin)} & set(snapshots)
    at, rows = metadata.get("current-snapshot-id"), 0
    while at in snapshots and at not in pinned:
        summary = snapshots[at]["summary"]
        rows += 0 if LABELS_SNAPSHOT in summary or WITHDRAWN in summary else int(summary.get("added-records", 0))
        at = snapshots[at].get("parent-snapshot-id")
    return rows if pinned else 0


def _metadata(glue: Any, s3: Any, *, database: str, table: str) -> dict[str, Any]:
    """The table's metadata file; empty while there is no table."""
    try:
        found = glue.get_table(DatabaseName=database, Name=table)["Table"]
    except glue.exceptions.EntityNotFoundException:
        return {}
    document: dict[str, Any] = json.loads(read_object(s3, found["Parameters"]["metadata_location"]))
    return document
