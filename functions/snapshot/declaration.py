"""How the function `snapshot` is deployed."""

from millrace.contract.load import load_contract
from millrace.decisions import captured
from millrace.names import TABLES
from millrace.settings.declaration import Declared, Right
from millrace.settings.snapshot import SnapshotSettings

DECLARED = Declared(
    room="training",
    description="A training run gets its rows, labels that came late included, and its configuration",
    settings=SnapshotSettings,
    timeout_s=900,
    memory_mb=3008,
    rights=lambda given: [
        Right(
            "buckets.LAKE.read",
            "iceberg",
            "decisions",
            "predictions",
            *captured.kept_folders(load_contract(given.folder).rows),
        ),
        Right("buckets.LAKE.find", "decisions"),
        Right("buckets.LAKE.write", "iceberg"),
        Right("buckets.ARTEFACTS.write", "runs"),
        Right("iceberg.tables", *TABLES, may="GetTable"),
        Right("iceberg.tables", "rows", may="UpdateTable"),
        Right("iceberg.remove_manifests", "rows"),
        Right("state_table.own_items", may="GetItem"),
        Right("state_table.append_audit"),
        Right("state_table.write_known_keys", given.workload.known_keys),
    ],
)
