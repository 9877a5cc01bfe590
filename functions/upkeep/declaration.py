"""How the function `upkeep` is deployed."""

from millrace.names import TABLES
from millrace.settings.declaration import TABLE_MEMORY_MB, Declared, Grant
from millrace.settings.drop import BulkEnvironment

DECLARED = Declared(
    room="ingestion",
    settings=BulkEnvironment,
    timeout_s=900,
    memory_mb=TABLE_MEMORY_MB,
    rights=lambda _: [
        Grant("buckets.LAKE.find", "iceberg"),
        Grant("buckets.LAKE.read", "iceberg"),
        Grant("buckets.LAKE.write", "iceberg", "quarantine/feed=training", "quarantine/feed=labels"),
        Grant("iceberg.delete_files", *TABLES),
        Grant("iceberg.tables", *TABLES, may="GetTable UpdateTable"),
        Grant("buckets.absorb_decisions"),
        Grant("state_table.own_items", may="GetItem"),
        Grant("state_table.append_audit"),
        Grant("step_functions.askers", "upkeep"),
    ],
)
