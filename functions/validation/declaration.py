"""How the function `validation` is deployed."""

from millrace.datasets.quarantine import REFUSED
from millrace.names import TABLES
from millrace.settings.declaration import TABLE_MEMORY_MB, Declared, Grant
from millrace.settings.drop import ValidationSettings

DECLARED = Declared(
    room="ingestion",
    role="tables",
    settings=ValidationSettings,
    timeout_s=900,
    memory_mb=TABLE_MEMORY_MB,
    rights=lambda given: [
        Grant("buckets.LAKE.read", "staging", "iceberg", "decisions", "predictions"),
        Grant("buckets.LAKE.find", "decisions"),
        Grant("buckets.LAKE.write", "staging", "iceberg", *REFUSED),
        Grant("iceberg.tables", *TABLES, may="GetTable CreateTable UpdateTable"),
        Grant("iceberg.remove_manifests", *TABLES),
        Grant("state_table.own_items", may="GetItem UpdateItem"),
        Grant("state_table.write_known_keys", given.workload.known_keys),
    ],
)
