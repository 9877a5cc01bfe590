"""How the function `validation` is deployed."""

from millrace.datasets.quarantine import REFUSED
from millrace.names import TABLES
from millrace.settings.declaration import Declared, Right
from millrace.settings.validation import ValidationSettings

DECLARED = Declared(
    room="ingestion",
    role="tables",
    description="Typed rows are judged; the good ones are committed to their table or cut into shards",
    settings=ValidationSettings,
    timeout_s=900,
    memory_mb=3008,
    rights=lambda given: [
        Right("buckets.LAKE.read", "staging", "iceberg", "decisions", "predictions"),
        Right("buckets.LAKE.find", "decisions"),
        Right("buckets.LAKE.write", "staging", "iceberg", *REFUSED),
        Right("iceberg.tables", *TABLES, may="GetTable CreateTable UpdateTable"),
        Right("iceberg.remove_manifests", *TABLES),
        Right("state_table.own_items", may="GetItem UpdateItem"),
        Right("state_table.write_known_keys", given.workload.known_keys),
    ],
)
