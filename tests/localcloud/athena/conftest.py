"""A database with an Iceberg table, a table of JSON lines and one of Parquet, and a workgroup."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.table import Table

from localcloud.kernel.cloud import Cloud
from tests import builders

LOADS = pa.table(
    {
        "timestamp": pa.array([f"1997-0{month}-0{day}T00:00:00" for month in (4, 5) for day in (1, 2, 3)]).cast(
            pa.timestamp("us")
        ),
        "load": pa.array([1.5, 2.5, None, 4.5, 5.5, 6.5]),
        "kind": pa.array(["a", "b", "a", "b", "a", "b"]),
    }
)
JSON = ("org.apache.hadoop.mapred.TextInputFormat", "org.openx.data.jsonserde.JsonSerDe")
PARQUET = (
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
)


@dataclass(frozen=True, kw_only=True)
class Queries:
    """Runs SQL in the workgroup of a database."""

    athena: Any
    s3: Any
    glue: Any
    database: str
    bucket: str
    loads: Table

    def end(self, sql: str, **more: Any) -> dict[str, Any]:
        """The execution once it is over."""
        query = self.athena.start_query_execution(
            QueryString=sql, WorkGroup=self.database, QueryExecutionContext={"Database": self.database}, **more
        )["QueryExecutionId"]
        while True:
            found = self.athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]
            if found["Status"]["State"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
                return dict(found)
            time.sleep(0.01)

    def rows(self, sql: str) -> list[tuple[str | None, ...]]:
        done = self.end(sql)
        assert done["Status"]["State"] == "SUCCEEDED", done["Status"]
        pages = self.athena.get_paginator("get_query_results").paginate(QueryExecutionId=done["QueryExecutionId"])
        rows = [
            tuple(cell.get("VarCharValue") for cell in row["Data"])
            for page in pages
            for row in page["ResultSet"]["Rows"]
        ]
        return rows[1:] if done["StatementType"] == "DML" else rows

    def failure(self, sql: str) -> str:
        done = self.end(sql)
        assert done["Status"]["State"] == "FAILED", done["Status"]
        return str(done["Status"]["StateChangeReason"])

    def external(
        self, name: str, columns: dict[str, str], partitions: dict[str, dict[str, str]], *, json: bool
    ) -> None:
        """As `infra/constructs/external_table.py` declares them."""
        reader, serde = JSON if json else PARQUET
        location = f"s3://{self.bucket}/{name}/"
        folders = "/".join(f"{key}=${{{key}}}" for key in partitions)
        projection = {
            f"projection.{key}.{one}": text for key, given in partitions.items() for one, text in given.items()
        }
        self.glue.create_table(
            DatabaseName=self.database,
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": {
                    "projection.enabled": "true",
                    "storage.location.template": f"{location}{folders}/",
                    **projection,
                },
                "PartitionKeys": [{"Name": key, "Type": "string"} for key in partitions],
                "StorageDescriptor": {
                    "Location": location,
                    "Columns": [{"Name": key, "Type": kind} for key, kind in columns.items()],
                    "InputFormat": reader,
                    "SerdeInfo": {"SerializationLibrary": serde},
                },
            },
        )

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)


@pytest.fixture(scope="module")
def queries(cloud: Cloud) -> Queries:
    bucket = database = "queried"
    s3, glue, athena = (cloud.client(service) for service in ("s3", "glue", "athena"))
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    glue.create_database(DatabaseInput={"Name": database})
    athena.create_work_group(
        Name=database,
        Configuration={
            "ResultConfiguration": {"OutputLocation": f"s3://{bucket}/results/"},
            "EnforceWorkGroupConfiguration": True,
        },
    )
    found = Queries(
        athena=athena, s3=s3, glue=glue, database=database, bucket=bucket, loads=_loads(cloud, bucket, database)
    )
    found.external("refused", {"reason": "string", "line": "bigint"}, PARTITIONS, json=False)
    for feed, day, reasons in (("labels", "1997-05-01", ["range", "range"]), ("training", "1997-05-02", ["required"])):
        found.put(f"refused/feed={feed}/date={day}/a.parquet", _parquet(reasons))
    found.put("refused/feed=else/date=1997-05-02/a.parquet", _parquet(["not projected"]))
    found.external("events", EVENTS, {"date": PARTITIONS["date"]}, json=True)
    lines = [
        {"Meta": {"Id": f"e{number}", "key": {"at": f"1997-05-0{number}"}}, "score": number / 2} for number in (1, 2)
    ]
    found.put("events/date=1997-05-01/a.jsonl", "\n".join(map(json.dumps, lines)).encode())
    found.external("runs", {"value": "int"}, {"run": {"type": "injected"}}, json=True)
    found.put("runs/run=one/a.jsonl", b'{"value": 1}\n')
    found.put("runs/run=two/a.jsonl", b'{"value": 2}\n')
    return found


EVENTS = {"meta": "struct<id:string,key:map<string,string>>", "score": "double"}
PARTITIONS = {
    "feed": {"type": "enum", "values": "training,labels"},
    "date": {"type": "date", "format": "yyyy-MM-dd", "range": "1990-01-01,NOW+1DAYS"},
}


def _loads(cloud: Cloud, bucket: str, database: str) -> Table:
    """Two snapshots: four rows, then two more."""
    catalog = GlueCatalog(
        "test",
        **{
            "client.region": "eu-west-1",
            "glue.endpoint": cloud.endpoint_url,
            "s3.endpoint": cloud.endpoint_url,
            "client.access-key-id": "local",
            "client.secret-access-key": "local",
        },
    )
    table = catalog.create_table((database, "loads"), schema=LOADS.schema, location=f"s3://{bucket}/loads")
    table.append(LOADS.slice(0, 4))
    table.append(LOADS.slice(4))
    return table


def _parquet(reasons: list[str]) -> bytes:
    return builders.parquet(pa.table({"reason": reasons, "line": pa.array(range(len(reasons)), pa.int64())}))
