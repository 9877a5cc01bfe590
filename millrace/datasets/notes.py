"""What we write into the summary of a snapshot, beside Iceberg's own keys."""

LABELS_SNAPSHOT = "millrace.labels-snapshot"
"""The snapshot of the labels that completed the rows of this one."""
WITHDRAWN = "millrace.rows-withdrawn"
"""How many rows a snapshot is without that the one before had."""
