"""A contract that a table does not take is refused before it is deployed, by the check that a drop would stop at."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.types import NestedField

from millrace.console.environment import Environment
from millrace.console.queries.stored import check_tables, read_metadata
from millrace.contract.load import load_contract
from millrace.contract.schema import Contract
from millrace.datasets.tables import ICEBERG_TYPES
from millrace.errors import WorkloadError
from millrace.names import WorkloadNames
from tests.console.conftest import DEV

NAMES = WorkloadNames(platform=DEV, workload="electricity")
CONTRACT = load_contract(Path(__file__).resolve().parents[3] / "workloads" / "electricity")


def put_table(environment: Environment, contract: Contract) -> None:
    """The table `rows` as a first commit by this contract leaves it in the catalogue."""
    names = environment.names("electricity")
    typed = [(column.name, ICEBERG_TYPES[column.kind]) for column in contract.rows.columns]
    schema = Schema(*(NestedField(place, name, kind, required=False) for place, (name, kind) in enumerate(typed, 1)))
    metadata = new_table_metadata(schema, UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, "s3://lake/rows")
    s3, glue = environment.client("s3"), environment.client("glue")
    bucket, key = names.platform.bucket("lake"), "a.json"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=bucket, Key=key, Body=metadata.model_dump_json().encode())
    glue.create_database(DatabaseInput={"Name": names.platform.database})
    table = {"Name": names.table("rows"), "Parameters": {"metadata_location": f"s3://{bucket}/{key}"}}
    glue.create_table(DatabaseName=names.platform.database, TableInput=table)


def with_kinds(**kinds: Any) -> Contract:
    rows = CONTRACT.rows
    columns = tuple(replace(column, kind=kinds.get(column.name, column.kind)) for column in rows.columns)
    return replace(CONTRACT, rows=replace(rows, columns=columns))


def test_before_the_first_commit_every_contract_fits(environment: Environment) -> None:
    environment.client("glue").create_database(DatabaseInput={"Name": DEV.database})
    assert read_metadata(environment, NAMES, "rows") is None
    check_tables(environment, NAMES, CONTRACT)


@pytest.mark.parametrize(
    ("before", "after"), [({}, {}), ({"day_of_week": "int32"}, {}), ({"period": "float32"}, {"period": "float64"})]
)
def test_the_same_and_a_wider_type_fit(environment: Environment, before: Any, after: Any) -> None:
    put_table(environment, with_kinds(**before))
    check_tables(environment, NAMES, with_kinds(**after))


@pytest.mark.parametrize(("before", "after"), [("string", "float64"), ("int64", "float64"), ("float64", "string")])
def test_another_type_is_refused_with_what_can_be_done(environment: Environment, before: str, after: str) -> None:
    put_table(environment, with_kinds(period=before))
    said = (
        rf"electricity/contract.yaml, rows: period: expected a {before}, as the table has it \(or a new column name, "
        rf"with physicalName: period; or a new workload\), got '{after}'"
    )
    with pytest.raises(WorkloadError, match=said):
        check_tables(environment, NAMES, with_kinds(period=after))
