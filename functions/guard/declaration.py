"""How the function `guard` is deployed."""

from millrace.settings.declaration import Declared, Right

DECLARED = Declared(
    room="training",
    role="training",
    description="May a retraining start: lease, cool-down, runs, budget, labels",
    timeout_s=300,
    memory_mb=1024,
    rights=lambda _: [
        Right("state_table.own_items", may="GetItem PutItem"),
        Right("state_table.append_audit"),
        Right("iceberg.tables", "labels", "rows", may="GetTable"),
        Right("buckets.LAKE.read", "iceberg"),
    ],
)
