"""How the function `lateness` is deployed."""

from millrace.contract.load import load_contract
from millrace.messages.events import DataLate
from millrace.settings.declaration import Declared, Deployment, Grant


def tables(given: Deployment) -> list[str]:
    """The tables of which the age is declared: rows by the contract, labels by the workload."""
    rows = ["rows"] if load_contract(given.folder).freshness else []
    labels = given.workload.prediction.label_tables if given.workload.monitors.label_delay_hours else ()
    return [*dict.fromkeys([*rows, *labels])]


DECLARED = Declared(
    room="monitoring",
    role="monitoring",
    keeps_events=True,
    timeout_s=300,
    memory_mb=1024,
    schedule="cron(0 5 * * ? *)",
    local_schedule="cron(0 5 1 * ? *)",
    is_needed=lambda given: bool(tables(given)),
    rights=lambda given: [
        Grant("iceberg.tables", *tables(given), may="GetTable"),
        Grant("buckets.LAKE.find", "decisions", "predictions"),  # as plan_windows, in one statement of their role
        Grant("buckets.LAKE.read", "iceberg"),
        Grant("bus.put_events", DataLate),
    ],
)
