"""How the function `snapshot` is deployed."""

from millrace.contract.load import load_contract
from millrace.decisions import captured
from millrace.names import TABLES
from millrace.settings.declaration import TABLE_MEMORY_MB, Declared, Grant
from millrace.settings.training import SnapshotSettings

DECLARED = Declared(
    room="training",
    settings=SnapshotSettings,
    timeout_s=900,
    memory_mb=TABLE_MEMORY_MB,
    rights=lambda given: [
        Grant(
            "buckets.LAKE.read",
            "iceberg",
            "decisions",
            "predictions",
            *captured.kept_folders(load_contract(given.folder).rows),
        ),
        Grant("buckets.LAKE.find", "decisions"),
        Grant("buckets.LAKE.write", "iceberg"),
        Grant("buckets.ARTEFACTS.write", "runs"),
        Grant("iceberg.tables", *TABLES, may="GetTable"),
        Grant("iceberg.tables", "rows", may="UpdateTable"),
        Grant("iceberg.remove_manifests", "rows"),
        Grant("state_table.own_items", may="GetItem"),
        Grant("state_table.append_audit"),
        Grant("state_table.write_known_keys", given.workload.known_keys),
    ],
)
