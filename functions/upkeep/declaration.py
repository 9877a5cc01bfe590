"""How the function `upkeep` is deployed."""

from millrace.names import TABLES
from millrace.settings.declaration import Declared, Right

DECLARED = Declared(
    room="ingestion",
    description="Small files of the tables become few, old snapshots expire, lines of decisions become files",
    keeps_events=True,
    timeout_s=900,
    memory_mb=3008,
    schedule="cron(30 3 * * ? *)",
    local_schedule="cron(30 3 1 * ? *)",
    rights=lambda _: [
        Right("buckets.LAKE.find", "iceberg"),
        Right("buckets.LAKE.read", "iceberg"),
        Right("buckets.LAKE.write", "iceberg"),
        Right("iceberg.delete_files", *TABLES),
        Right("iceberg.tables", *TABLES, may="GetTable UpdateTable"),
        Right("buckets.absorb_decisions"),
    ],
)
