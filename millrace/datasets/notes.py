"""What we write into the summary of a snapshot, beside Iceberg's own keys."""

LABELS_SNAPSHOT = "millrace.labels-snapshot"
"""The snapshot of the labels that completed the rows of this one."""
WITHDRAWN = "millrace.rows-withdrawn"
"""How many rows a snapshot is without that the one before had."""
WITHDRAWN_DROP = "millrace.withdrawn-drop"
"""The landing key whose rows those were; not there where they were withdrawn by their key."""
