"""How many labels have come, from the Iceberg table's own metadata: two or three requests, no reader of tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from typing import Any

from millrace.aws.objects import read_object
from millrace.datasets.journal import Journal, JournalEntry
from millrace.datasets.notes import LABELS_SNAPSHOT, WITHDRAWN


def count_labels(glue: Any, s3: Any, *, database: str, table: str) -> int:
    """Rows of the table's current snapshot; 0 while there is no table or nothing in it.

    `glue` and `s3` are boto3's clients. Source: `total-records` of the snapshot summary, Iceberg's table specification,
    which every writer of this project leaves there."""
    metadata = _metadata(glue, s3, database=database, table=table)
    current = metadata.get("current-snapshot-id")
    present = map(JournalEntry.parse, metadata.get("snapshots", []))
    return next((entry.rows_total for entry in present if entry.snapshot_id == current), 0)


def count_new_rows(glue: Any, s3: Any, *, database: str, table: str, runs: Iterable[str], lies_ahead: bool) -> int:
    """Rows that brought a label since the newest snapshot that one of the train executions pinned.

    A row is the truth of an earlier one where the label `lies_ahead`, else those are counted that came with their
    label. `runs` are the beginnings of the executions' names. Rows that late labels completed are not counted, their
    labels are. 0 where no pinned snapshot is known."""
    metadata = _metadata(glue, s3, database=database, table=table)
    refs, begin = metadata.get("refs", {}), tuple(runs)
    pinned = {ref["snapshot-id"] for name, ref in refs.items() if name.startswith(begin)}
    journal = Journal.of_document(metadata, partial(read_object, s3))
    newest = max((entry.place for entry in journal.present if entry.snapshot_id in pinned), default=None)
    if newest is None:
        return 0
    later = (entry for entry in journal if entry.place > newest)
    came = [entry for entry in later if LABELS_SNAPSHOT not in entry.notes and WITHDRAWN not in entry.notes]
    return sum(entry.rows_added if lies_ahead else entry.rows_labelled for entry in came)


def _metadata(glue: Any, s3: Any, *, database: str, table: str) -> dict[str, Any]:
    """The table's metadata file; empty while there is no table."""
    try:
        found = glue.get_table(DatabaseName=database, Name=table)["Table"]
    except glue.exceptions.EntityNotFoundException:
        return {}
    document: dict[str, Any] = json.loads(read_object(s3, found["Parameters"]["metadata_location"]))
    return document
