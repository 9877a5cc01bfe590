"""The notes that we write into the summary of a snapshot, beside Iceberg's own entries.

Of two versions of one object the later one wins, in whatever order they come. S3's sequencer says which one is later:

    a.csv, version 1 (sequencer 00A1), then version 2 (00A2): version 2 takes the place of the rows of version 1
    a.csv, version 2 (00A2), then version 1 (00A1):           version 1 is recorded as superseded, and adds no row

The sequencers are in the summaries of the table's snapshots (`millrace.datasets.journal`). So the write that adds the
rows also decides the order.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""

from __future__ import annotations

DIGEST = "millrace.source-digest"
"""SHA-256 of the bytes that the rows came from, or of a text that says which rows these are."""
WRITTEN_BY = "millrace.run"
"""The drop's id, or the name of the run."""
ALIAS = "millrace.alias-of"
"""The URI of the object that brought the same bytes before; absent if the bytes were new."""
QUARANTINED = "millrace.rows-quarantined"
"""How many rows of the drop were refused at its commit: by the contract, or for a key that came before."""
REASONS = "millrace.quarantined-reasons"
"""The number of these rows by reason, as JSON, such as `{"range": 3}`; absent if no row was refused."""
UNPARSABLE = "millrace.rows-unparsable"
"""How many rows of the drop could not be parsed, so that nothing compared them with the table; absent for none."""
UNLABELLED = "millrace.rows-unlabelled"
"""How many of the rows that came have no label yet; absent if all have one."""
LABELLED_BEFORE = "millrace.rows-labelled-before"
"""How many of the labels that came are of keys that had one: corrections and repetitions; absent for none."""
LABELS = "millrace.label-batch"
"""What a drop of labels said when it was learnt, as `LabelBatch.note` writes it: later ones are compared with it."""
LABELS_SNAPSHOT = "millrace.labels-snapshot"
"""The id of the snapshot of `labels` for which the rows of this snapshot were made of decisions; absent for a drop."""
WITHDRAWN = "millrace.rows-withdrawn"
"""How many rows of the snapshot before are not in this one any more."""
WITHDRAWN_DROP = "millrace.withdrawn-drop"
"""The landing key of the withdrawn rows; absent if they were withdrawn by their key."""
ORIGIN = "millrace.source"
"""The object that the rows came from: URI and version."""
SEQUENCER = "millrace.sequencer"
"""S3's sequencer of that version; absent if nobody knows it."""
ARRIVAL = "millrace.arrived"
"""When that version came, by S3's event: ISO 8601, UTC."""
SENT_BY = "millrace.sent-by"
"""Who has dropped that version, as `ParsedDrop.by` has it; absent if nobody knows."""
REPAIRS = "millrace.repairs"
"""The id of the drop whose refused rows that version mends; absent for any other drop."""
REPLACED = "millrace.replaced-drop"
"""The landing key whose earlier rows were replaced by this snapshot's rows."""
REPLACED_ROWS = "millrace.rows-replaced"
"""How many rows were replaced; absent if they had left before."""
SUPERSEDED = "millrace.superseded-by"
"""The URI of the later version of the same object; this version added no row because of it."""
COMPACTED = "millrace.files-compacted"
"""How many data files were written anew as fewer ones; the snapshot has the same rows as the one before."""

REWRITTEN = "millrace.columns-rewritten"
"""What became of the rows that were written anew in other types (`RewrittenTable`), as JSON; others have left."""


def is_later(one: str, other: str) -> bool:
    """Whether `one` is the sequencer of a later event than `other`; both are of the same key.

    They are compared as text, the shorter one filled up with zeros on the right: `00A1` is earlier than `00A12`."""
    width = max(len(one), len(other))
    return one.upper().ljust(width, "0") > other.upper().ljust(width, "0")
