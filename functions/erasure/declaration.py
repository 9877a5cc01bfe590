"""How the function `erasure` is deployed."""

from millrace.erasure.stores import folders
from millrace.names import TABLES
from millrace.settings.declaration import TABLE_MEMORY_MB, Declared, Grant

DECLARED = Declared(
    room="ingestion",
    timeout_s=900,
    memory_mb=TABLE_MEMORY_MB,
    rights=lambda given: [
        Grant("buckets.LANDING.erase", *folders("landing")),
        Grant("buckets.LANDING.write", "erased"),
        Grant("buckets.LAKE.erase", *folders("lake")),
        Grant("buckets.LAKE.write", *folders("lake")),
        Grant("buckets.LAKE.read", "iceberg"),
        Grant("buckets.ARTEFACTS.look_at", "runs"),
        Grant("buckets.ARTEFACTS.erase", "runs/*/evaluation"),
        Grant("buckets.ARTEFACTS.write", "runs/*/evaluation"),
        Grant("iceberg.tables", *TABLES, may="GetTable UpdateTable"),
        Grant("state_table.append_audit"),
        Grant("state_table.own_items", may="DeleteItem GetItem PutItem Query"),
        Grant("state_table.reviews", may="DeleteItem Query"),
        Grant("state_table.write_known_keys", given.workload.known_keys),
    ],
)
