"""Whether a workload's contract still fits its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.queries.table_files import read_metadata
from millrace.datasets.tables import check_types, types_of

if TYPE_CHECKING:
    from console.environment import Environment
    from millrace.contract.schema import Contract
    from millrace.names import WorkloadNames


def check_tables(environment: Environment, names: WorkloadNames, contract: Contract) -> None:
    """Raise WorkloadError if a drop under this contract would fail because its table has a column with another type."""
    for table in (contract.rows, contract.labels):
        metadata = read_metadata(environment, names, table.name)
        if metadata is not None:
            check_types(types_of(metadata.schema()), table, where=f"{names.workload}/contract.yaml, {table.name}")
