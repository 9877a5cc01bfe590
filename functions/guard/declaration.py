"""How the function `guard` is deployed."""

from millrace.settings.declaration import Declared, Grant

DECLARED = Declared(
    room="training",
    role="training",
    timeout_s=300,
    memory_mb=1024,
    rights=lambda _: [
        Grant("state_table.own_items", may="GetItem PutItem"),
        Grant("state_table.append_audit"),
        Grant("iceberg.tables", "labels", "rows", may="GetTable"),
        Grant("buckets.LAKE.read", "iceberg"),
    ],
)
