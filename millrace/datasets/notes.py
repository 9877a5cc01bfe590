"""What we write into the summary of a snapshot, beside Iceberg's own keys, and what it says of an object's versions.

Of two versions of one object the later wins, in whatever order they come: S3's sequencer says which is later.

    a.csv, version 1 (sequencer 00A1), then version 2 (00A2): version 2 takes the place of the rows of version 1
    a.csv, version 2 (00A2), then version 1 (00A1):           version 1 is recorded as superseded, and adds no row

The order is looked up in the summaries of the table's snapshots, so that the same write decides it that adds the rows.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot

    from millrace.datasets.new_rows import Source

LABELS_SNAPSHOT = "millrace.labels-snapshot"
"""The snapshot of the labels that completed the rows of this one."""
WITHDRAWN = "millrace.rows-withdrawn"
"""How many rows a snapshot is without that the one before had."""
WITHDRAWN_DROP = "millrace.withdrawn-drop"
"""The landing key whose rows those were; not there where they were withdrawn by their key."""
ORIGIN = "millrace.source"
"""The object that the rows came from: URI and version."""
SEQUENCER = "millrace.sequencer"
"""S3's, of that version; not there where nobody knows it."""
ARRIVAL = "millrace.arrived"
"""When that version came, as S3's event says; ISO 8601, UTC."""
REPLACED = "millrace.replaced-drop"
"""The landing key whose earlier rows this snapshot took the place of."""
SUPERSEDED = "millrace.superseded-by"
"""The later version of the same object for which this one added no row."""


def notes_of(snapshot: Snapshot) -> Mapping[str, str]:
    """The summary's texts; none where the snapshot has no summary."""
    return snapshot.summary.additional_properties if snapshot.summary is not None else {}


def is_later(one: str, other: str) -> bool:
    """Whether the sequencer `one` is of a later event than `other`, both of the same key.

    They are compared as text, the shorter one filled up with zeros on the right."""
    width = max(len(one), len(other))
    return one.upper().ljust(width, "0") > other.upper().ljust(width, "0")


def find_later(iceberg: IcebergTable, source: Source) -> str | None:
    """The URI of a later version of the same object that the table has taken; None where there is none.

    None for a source without a sequencer as well: nobody knows its place."""
    if not source.sequencer:
        return None
    for summary in _of_key(iceberg, source.key):
        if SUPERSEDED not in summary and is_later(summary.get(SEQUENCER, ""), source.sequencer):
            return summary[ORIGIN]
    return None


def has_earlier(iceberg: IcebergTable, source: Source) -> bool:
    """Whether the table has taken another version of the same object; call it where `find_later` finds none."""
    return bool(source.sequencer) and any(SUPERSEDED not in summary for summary in _of_key(iceberg, source.key))


def is_recorded(iceberg: IcebergTable, source: Source) -> bool:
    """Whether the table says already that this version is superseded."""
    return any(SUPERSEDED in summary and summary[ORIGIN] == source.uri for summary in _of_key(iceberg, source.key))


def replaces(summary: Mapping[str, str], uri: str) -> bool:
    """Whether the snapshot took the place of the rows of this object's version."""
    return summary.get(REPLACED) == key_of(uri)


def key_of(uri: str) -> str:
    """The landing key of a source's URI."""
    return uri.removeprefix("s3://").partition("/")[2].partition("?versionId=")[0]


def _of_key(iceberg: IcebergTable, key: str) -> Iterator[Mapping[str, str]]:
    for snapshot in iceberg.metadata.snapshots:
        summary = notes_of(snapshot)
        if key_of(summary.get(ORIGIN, "")) == key:
            yield summary
