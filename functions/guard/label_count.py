"""Counts labels by the metadata of the Iceberg tables.

That takes two or three requests to AWS, and no library that reads tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from millrace.aws.objects import read_object
from millrace.datasets.journal import Journal, JournalEntry
from millrace.datasets.notes import LABELS_SNAPSHOT, REPLACED, WITHDRAWN_DROP


def count_labels(glue: Any, s3: Any, *, database: str, table: str) -> int:
    """The number of rows in the table's current snapshot, without labels of keys that had one before, and without those
    that came before their decision.

    So neither a correction is a new label, nor one that nothing was compared with. 0 without a table or a snapshot.
    `glue` and `s3` are boto3's clients. The number of rows is `total-records` of the snapshot's summary, by Iceberg's
    table specification. Every writer of this project leaves it there."""
    metadata = _metadata(glue, s3, database=database, table=table)
    current = metadata.get("current-snapshot-id")
    journal = Journal.of_document(metadata, partial(read_object, s3))
    total = next((entry.rows_total for entry in journal.present if entry.snapshot_id == current), 0)
    return total - _by_drop(journal, lambda entry: entry.labelled_before + entry.unanswered).total()


def count_new_rows(glue: Any, s3: Any, *, database: str, table: str, runs: Iterable[str], lies_ahead: bool) -> int:
    """The number of rows that have brought a label since the newest snapshot that one of the train executions pinned.

    If the label `lies_ahead`, every row counts, since it is the truth of an earlier row. Else only rows that came with
    their label count. Of a drop that was replaced since, the rows count that it has more. Rows that were made of
    decisions and late labels do not count here: `count_labels` counts their labels. `runs` are the beginnings of the
    names of the train executions. 0 if none of them has pinned a snapshot."""
    metadata = _metadata(glue, s3, database=database, table=table)
    # A reference of Iceberg is a tag or a branch by its name; a run's tag has the name of the run.
    refs, begin = metadata.get("refs", {}), tuple(runs)
    pinned = {ref["snapshot-id"] for name, ref in refs.items() if name.startswith(begin)}
    journal = Journal.of_document(metadata, partial(read_object, s3))
    newest = max((entry.place for entry in journal.present if entry.snapshot_id in pinned), default=None)
    if newest is None:
        return 0
    # Only drops count, no rows that were made of decisions.
    dropped = [entry for entry in journal if LABELS_SNAPSHOT not in entry.notes]

    def rows(entry: JournalEntry) -> int:
        return entry.rows_added if lies_ahead else entry.rows_labelled

    before = _by_drop((entry for entry in dropped if entry.place <= newest), rows)
    return (_by_drop(dropped, rows) - before).total()


def _by_drop(entries: Iterable[JournalEntry], rows: Callable[[JournalEntry], int]) -> Counter[str]:
    """How many of such rows each drop has, by its landing key, without those that were replaced or withdrawn."""
    there = Counter[str]()
    for entry in entries:
        for gone in entry.notes.keys() & {REPLACED, WITHDRAWN_DROP}:
            there.pop(entry.notes[gone], None)
        there[entry.key] += rows(entry)
    return there


def _metadata(glue: Any, s3: Any, *, database: str, table: str) -> dict[str, Any]:
    """The content of the table's metadata file. Empty without a table."""
    try:
        found = glue.get_table(DatabaseName=database, Name=table)["Table"]
    except glue.exceptions.EntityNotFoundException:
        return {}
    document: dict[str, Any] = json.loads(read_object(s3, found["Parameters"]["metadata_location"]))
    return document
