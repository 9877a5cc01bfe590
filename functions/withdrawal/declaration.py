"""How the function `withdrawal` is deployed."""

from millrace.names import TABLES
from millrace.settings.declaration import Declared, Right

DECLARED = Declared(
    room="ingestion",
    role="tables",
    description="Rows that a person withdraws leave the tables, with a record of who and why",
    timeout_s=900,
    memory_mb=3008,
    rights=lambda given: [
        Right("buckets.LAKE.read", "iceberg"),
        Right("buckets.LAKE.write", "iceberg"),
        Right("iceberg.tables", *TABLES, may="GetTable UpdateTable"),
        Right("iceberg.remove_manifests", *TABLES),
        Right("state_table.append_audit"),
        Right("state_table.own_items", may="GetItem PutItem"),
        Right("state_table.write_known_keys", given.workload.known_keys),
    ],
)
