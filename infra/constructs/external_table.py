"""A Glue table over objects that our functions write. Athena computes its partitions, and nobody registers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_glue as glue
from constructs import Construct

from millrace.contract.kinds import Kind
from millrace.contract.schema import Table
from millrace.datasets.tables import ICEBERG_TYPES
from millrace.infra.context import Context

JSON = ("org.apache.hadoop.mapred.TextInputFormat", "org.openx.data.jsonserde.JsonSerDe")
PARQUET = (
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
)
TEXT_OUTPUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
PARQUET_OUTPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
EARLIEST = "1990-01-01"
"""First date of a partition for rows under the date that they are about, which may be long ago."""


HIVE_TYPES: dict[Kind, str] = ICEBERG_TYPES | {"int64": "bigint", "timestamp_utc": "timestamp"}
"""Athena's type for each kind of the contract."""


def column_types(table: Table) -> dict[str, str]:
    """The Glue type of each column of the contract's table, in the order of the columns."""
    return {column.name: HIVE_TYPES[column.kind] for column in table.columns}


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One partition column, and how Athena finds its values.

    https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html"""

    name: str
    projection: Mapping[str, str]

    @classmethod
    def by_date(cls, since: str = EARLIEST) -> Partition:
        """Partitions `date=yyyy-mm-dd` from `since` on. A query without a date looks into the folder of each day."""
        return cls(name="date", projection={"type": "date", "format": "yyyy-MM-dd", "range": f"{since},NOW+1DAYS"})

    @classmethod
    def of(cls, name: str, *values: str) -> Partition:
        return cls(name=name, projection={"type": "enum", "values": ",".join(values)})

    @classmethod
    def named(cls, name: str) -> Partition:
        """A partition with any value. Every query must name the value."""
        return cls(name=name, projection={"type": "injected"})


class ExternalTable(Construct):
    """The table `<workload>_<name>` over `s3://<lake>/<workload>/<folder>/<partition>=<value>/…/`.

    The folder has the table's name if it is not said."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        context: Context,
        description: str,
        columns: Mapping[str, str],
        partitions: tuple[Partition, ...],
        json: bool = False,
        folder: str = "",
    ) -> None:
        super().__init__(scope, f"{name}-table")
        location = context.names.lake_uri(folder or name, "")
        reader, serde = JSON if json else PARQUET
        parameters = {"EXTERNAL": "TRUE", "classification": "json" if json else "parquet"}
        catalogued(
            self,
            context,
            name=name,
            description=description,
            table_type="EXTERNAL_TABLE",
            parameters=parameters | _projection(location, partitions),
            partition_keys=columns_of({partition.name: "string" for partition in partitions}),
            storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                location=location,
                columns=columns_of(columns),
                input_format=reader,
                output_format=TEXT_OUTPUT if json else PARQUET_OUTPUT,
                serde_info=glue.CfnTable.SerdeInfoProperty(serialization_library=serde),
            ),
        )


def columns_of(types: Mapping[str, str]) -> list[glue.CfnTable.ColumnProperty]:
    """The columns of these types, as the catalogue has them."""
    return [glue.CfnTable.ColumnProperty(name=name, type=kind) for name, kind in types.items()]


def catalogued(scope: Construct, context: Context, *, name: str, **said: Any) -> None:
    """The table `<workload>_<name>` of the catalogue, of which this is said."""
    where, table = context.platform, glue.CfnTable.TableInputProperty(name=context.names.table(name), **said)
    glue.CfnTable(scope, "Resource", catalog_id=where.account, database_name=where.database, table_input=table)


def _projection(location: str, partitions: tuple[Partition, ...]) -> dict[str, str]:
    """The properties from which Athena computes the partitions and their folders: `<location>date=${date}/`."""
    if not partitions:
        return {}
    folders = "/".join(f"{partition.name}=${{{partition.name}}}" for partition in partitions)
    return {
        "projection.enabled": "true",
        "storage.location.template": f"{location}{folders}/",
        **{
            f"projection.{partition.name}.{key}": value
            for partition in partitions
            for key, value in partition.projection.items()
        },
    }
