"""The metadata of a workload's table, as the catalogue points to it; and whether the contract still fits the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from millrace.aws.objects import read_object
from millrace.datasets.columns import check_types, types_of

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

    from console.environment import Environment
    from millrace.contract.schema import Contract
    from millrace.names import WorkloadNames


def find_metadata(environment: Environment, names: WorkloadNames, table: str) -> TableMetadata | None:
    """Of `rows` or `labels`; None before the first commit."""
    from pyiceberg.table.metadata import TableMetadataUtil

    try:
        found = environment.client("glue").get_table(DatabaseName=names.platform.database, Name=names.table(table))
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityNotFoundException":
            raise
        return None
    location = found["Table"]["Parameters"]["metadata_location"]
    return TableMetadataUtil.parse_raw(read_object(environment.client("s3"), location).decode())


def check_tables(environment: Environment, names: WorkloadNames, contract: Contract) -> None:
    """Raise WorkloadError where a drop by this contract would stop at the type of a column that its table has."""
    for table in (contract.rows, contract.labels):
        metadata = find_metadata(environment, names, table.name)
        if metadata is not None:
            check_types(types_of(metadata.schema()), table, where=f"{names.workload}/contract.yaml, {table.name}")
