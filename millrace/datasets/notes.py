"""What we write into the summary of a snapshot, beside Iceberg's own keys, and what it says of an object's versions.

Of two versions of one object the later wins, in whatever order they come: S3's sequencer says which is later.

    a.csv, version 1 (sequencer 00A1), then version 2 (00A2): version 2 takes the place of the rows of version 1
    a.csv, version 2 (00A2), then version 1 (00A1):           version 1 is recorded as superseded, and adds no row

The order is looked up in the summaries of the table's snapshots (`millrace.datasets.journal`), so that the same write
decides it that adds the rows.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""

from __future__ import annotations

DIGEST = "millrace.source-digest"
"""SHA-256 of the bytes that the rows came from, or of what says which rows these are."""
WRITTEN_BY = "millrace.run"
"""The drop's id, or the name of the run."""
ALIAS = "millrace.alias-of"
"""The object that had brought the same bytes before; not there where they were new."""
QUARANTINED = "millrace.rows-quarantined"
"""How many rows of the drop were refused with the table before them."""
REASONS = "millrace.quarantined-reasons"
"""Those by their reason, as JSON; not there where none was refused."""
UNPARSABLE = "millrace.rows-unparsable"
"""How many rows of the drop could not be parsed, so that nothing compared them with the table; not there for none."""
UNLABELLED = "millrace.rows-unlabelled"
"""How many of the rows that came have no label yet; not there where all have one."""
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
REPLACED_ROWS = "millrace.rows-replaced"
"""How many those were; not there where they had left before."""
SUPERSEDED = "millrace.superseded-by"
"""The later version of the same object for which this one added no row."""
COMPACTED = "millrace.files-compacted"
"""How many data files a snapshot wrote anew as fewer ones; its rows are those of the one before."""


def is_later(one: str, other: str) -> bool:
    """Whether the sequencer `one` is of a later event than `other`, both of the same key.

    They are compared as text, the shorter one filled up with zeros on the right."""
    width = max(len(one), len(other))
    return one.upper().ljust(width, "0") > other.upper().ljust(width, "0")
