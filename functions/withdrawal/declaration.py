"""How the function `withdrawal` is deployed."""

from millrace.names import TABLES
from millrace.settings.declaration import TABLE_MEMORY_MB, Declared, Grant

DECLARED = Declared(
    room="ingestion",
    role="upkeep",
    timeout_s=900,
    memory_mb=TABLE_MEMORY_MB,
    rights=lambda given: [
        Grant("buckets.LAKE.read", "iceberg"),
        Grant("buckets.LAKE.write", "iceberg"),
        Grant("iceberg.tables", *TABLES, may="GetTable UpdateTable"),
        Grant("iceberg.remove_manifests", *TABLES),
        Grant("state_table.append_audit"),
        Grant("state_table.write_known_keys", given.workload.known_keys),
    ],
)
