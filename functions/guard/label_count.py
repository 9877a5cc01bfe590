"""How many labels have come, from the Iceberg table's own metadata: two requests, no reader of tables."""

from __future__ import annotations

import json
from typing import Any

from millrace.aws.objects import read_object


def count_labels(glue: Any, s3: Any, *, database: str, table: str) -> int:
    """Rows of the table's current snapshot; 0 while there is no table or nothing in it.

    `glue` and `s3` are boto3's clients. Source: `total-records` of the snapshot summary, Iceberg's table specification,
    which every writer of this project leaves there."""
    try:
        found = glue.get_table(DatabaseName=database, Name=table)["Table"]
    except glue.exceptions.EntityNotFoundException:
        return 0
    metadata = json.loads(read_object(s3, found["Parameters"]["metadata_location"]))
    current = metadata.get("current-snapshot-id")
    summaries = {snapshot["snapshot-id"]: snapshot["summary"] for snapshot in metadata.get("snapshots", [])}
    return int(summaries[current]["total-records"]) if current in summaries else 0
