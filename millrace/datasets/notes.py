"""What we write into the summary of a snapshot, beside Iceberg's own keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.table.snapshots import Snapshot

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
