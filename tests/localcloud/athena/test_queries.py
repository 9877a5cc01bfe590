"""SQL in Athena's dialect over the files that the catalogue names."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from moto.athena.models import athena_backends

from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import Cloud
from tests.localcloud.athena.conftest import LOADS, Queries
from tests.localcloud.resources import Resources, allow


def test_names_and_types_are_athenas(queries: Queries) -> None:
    done = queries.end("select kind, count(*), sum(1) as total, true as yes, timestamp from loads group by 1, 5")
    described = queries.athena.get_query_results(QueryExecutionId=done["QueryExecutionId"])["ResultSet"]
    columns = [(one["Name"], one["Type"]) for one in described["ResultSetMetadata"]["ColumnInfo"]]
    assert columns == [
        ("kind", "varchar"),
        ("_col1", "bigint"),
        ("total", "bigint"),
        ("yes", "boolean"),
        ("timestamp", "timestamp"),
    ]


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("select 7 / 2, 7 / 2.0, cast(7 as double) / 2, -7 / 2", ("3.0", "3.5", "3.5", "-3.0")),
        ("select max_by(kind, timestamp), count_if(load > 3) from loads", ("b", "3")),
        ("select date_format(timestamp, '%Y-%m') from loads order by timestamp limit 1", ("1997-04",)),
        ("select cast(from_iso8601_timestamp('1997-05-01T02:00:00Z') as timestamp)", ("1997-05-01 02:00:00.000",)),
        ("with a as (select kind from loads) select count(*) from a join loads b on a.kind = b.kind", ("18",)),
        ("select array[1, 2], map(array['a'], array[1]), cast(null as varchar)", ("[1, 2]", "{a=1}", None)),
        ("select try_cast('x' as integer), coalesce(null, date '1997-05-01')", (None, "1997-05-01")),
    ],
)
def test_the_dialect_is_athenas(queries: Queries, sql: str, wanted: tuple[str | None, ...]) -> None:
    assert queries.rows(sql) == [wanted]


def test_an_earlier_version_is_read(queries: Queries) -> None:
    first, _ = queries.loads.metadata.snapshots
    assert queries.rows(f"select count(*) from loads for version as of {first.snapshot_id}") == [("4",)]
    assert queries.rows("select count(*) from loads") == [("6",)]
    assert "does not exists: 7" in queries.failure("select * from loads for version as of 7")


def test_partitions_are_those_that_the_table_projects(queries: Queries) -> None:
    found = queries.rows("select feed, date, reason, count(*) from refused group by 1, 2, 3 order by 1")
    assert found == [("labels", "1997-05-01", "range", "2"), ("training", "1997-05-02", "required", "1")]


def test_a_condition_on_a_partition_spares_its_bytes(queries: Queries) -> None:
    conditions = ("line >= 0", "r.date > '1997-05-01' and line >= 0", "date = '1996-01-01' and line >= 0")
    done = [queries.end(f"select count(reason) from refused r where {one}")["Statistics"] for one in conditions]
    every, one, none = (each["DataScannedInBytes"] for each in done)
    assert 0 == none < one < every
    assert queries.rows("select count(*) from refused where date in ('1997-05-01') or line > 7") == [("2",)]


def test_an_injected_partition_must_be_named(queries: Queries) -> None:
    assert queries.rows("select value, run from runs where run = 'two'") == [("2", "two")]
    assert queries.failure("select value from runs").startswith("CONSTRAINT_VIOLATION: For the injected projected")


def test_a_line_that_is_no_json_fails_the_query(queries: Queries) -> None:
    queries.external("broken", {"value": "int"}, {"run": {"type": "enum", "values": "a"}}, json=True)
    queries.put("broken/run=a/a.jsonl", b'{"value": 1}\nno json\n')
    assert queries.failure("select value from broken").startswith("HIVE_CURSOR_ERROR: Row is not a valid JSON Object")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select * from load", "TABLE_NOT_FOUND: Table 'awsdatacatalog.queried.load' does not exist"),
        ("select power from loads", "COLUMN_NOT_FOUND: Column 'power' cannot be resolved"),
        ("select 1 / (count(*) - 6) from loads", "DIVISION_BY_ZERO: Division by zero"),
        ("select f(1)", "FUNCTION_NOT_FOUND: Function 'f' not registered"),
        ("select * from read_csv('/etc/passwd')", "SYNTAX_ERROR"),
    ],
)
def test_a_query_fails_with_its_reason(queries: Queries, sql: str, reason: str) -> None:
    assert queries.failure(sql).startswith(reason)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select from where", "line 1:"),
        ("selec * from loads", "line 1:1: mismatched input 'selec'. Expecting: 'SELECT', 'WITH', "),
        ("select a b c from loads", "line 1:12: mismatched input 'c'. Invalid expression"),
        ("select * from loads where a =", "line 1:29: mismatched input '='"),
        ("insert into loads values (1)", "SELECT and UNLOAD only, got INSERT"),
        ("drop table loads", "only, got DROP"),
        ("show tables", "only, got SHOW"),
        ("explain select 1", "only, got EXPLAIN"),
        ("select 1; select 2", "Only one sql statement is allowed"),
    ],
)
def test_what_is_no_query_is_refused_at_once(queries: Queries, sql: str, reason: str) -> None:
    with pytest.raises(ClientError, match="InvalidRequestException") as refused:
        queries.end(sql)
    assert reason in str(refused.value)
    assert "sqlglot" not in str(refused.value)


def test_a_query_beyond_the_workgroups_limit_is_cancelled(queries: Queries) -> None:
    queries.athena.update_work_group(
        WorkGroup=queries.database, ConfigurationUpdates={"BytesScannedCutoffPerQuery": 10_000_000}
    )
    assert queries.end("select * from loads")["Status"]["State"] == "SUCCEEDED"
    kept = queries.athena.get_work_group(WorkGroup=queries.database)["WorkGroup"]["Configuration"]
    assert kept["BytesScannedCutoffPerQuery"] == 10_000_000
    assert kept["ResultConfiguration"]["OutputLocation"] == f"s3://{queries.bucket}/results/"
    # Less than the API takes: the table is small.
    configuration = athena_backends["123456789012"]["eu-west-1"].work_groups[queries.database].configuration
    configuration["BytesScannedCutoffPerQuery"] = 500
    try:
        status = queries.end("select * from loads")["Status"]
    finally:
        del configuration["BytesScannedCutoffPerQuery"]
    assert status["State"] == "CANCELLED"
    assert status["StateChangeReason"].startswith("Bytes scanned limit was exceeded")


def test_a_view_is_its_sql(queries: Queries) -> None:
    """As Athena keeps it. Its tables are of the view's own database, whoever asks."""
    sql = """with both as (select kind, count(*) as n from loads group by 1)
        select kind, n from both union all select "$path", count(*) from refused where feed = 'training' group by 1"""
    told = base64.b64encode(json.dumps({"originalSql": sql, "schema": queries.database}).encode()).decode()
    view = {
        "Name": "counted",
        "TableType": "VIRTUAL_VIEW",
        "ViewOriginalText": f"/* Presto View: {told} */",
        "StorageDescriptor": {"Columns": [{"Name": "kind", "Type": "string"}, {"Name": "n", "Type": "bigint"}]},
    }
    queries.glue.create_database(DatabaseInput={"Name": "viewed"})
    queries.glue.create_table(DatabaseName="viewed", TableInput=view)
    file = f"s3://{queries.bucket}/refused/feed=training/date=1997-05-02/a.parquet"
    assert sorted(queries.rows("select * from viewed.counted")) == [("a", "3"), ("b", "3"), (file, "1")]
    joined = "select c.n, l.load from viewed.counted c join loads l on c.kind = l.kind where l.load > 6"
    assert queries.rows(joined) == [("3", "6.5")]
    assert queries.rows("select max(counted.n) from viewed.counted") == [("3",)]
    assert "Table 'awsdatacatalog.queried.counted' does not exist" in queries.failure("select * from counted")
    queries.glue.delete_database(Name="viewed")


UNLOAD = "unload ({sql}) to 's3://queried/{folder}/' with (format = 'PARQUET', compression = 'snappy')"


def test_rows_are_unloaded_as_files_of_an_empty_folder(queries: Queries) -> None:
    sql = UNLOAD.format(sql="with all_of as (select * from loads) select *, 7 / 2 as n from all_of", folder="out")
    done = queries.end(sql)
    assert (done["Status"]["State"], done["StatementType"]) == ("SUCCEEDED", "DML")
    listed = queries.s3.list_objects_v2(Bucket=queries.bucket, Prefix="out/")["Contents"]
    bodies = [queries.s3.get_object(Bucket=queries.bucket, Key=one["Key"])["Body"].read() for one in listed]
    files = [pq.ParquetFile(io.BytesIO(body)) for body in bodies]
    assert {file.metadata.row_group(0).column(0).compression for file in files} == {"SNAPPY"}
    assert {file.schema.column(0).physical_type for file in files} == {"INT96"}
    rows = pa.concat_tables([file.read() for file in files]).sort_by("timestamp")
    assert rows["load"].to_pylist() == LOADS["load"].to_pylist()
    assert set(rows["n"].to_pylist()) == {3}
    manifest = done["ResultConfiguration"]["OutputLocation"].removeprefix(f"s3://{queries.bucket}/") + "-manifest.csv"
    named = queries.s3.get_object(Bucket=queries.bucket, Key=manifest)["Body"].read().decode().split()
    assert named == [f"s3://{queries.bucket}/{one['Key']}" for one in listed]
    assert queries.rows(sql.replace("/out/", "/again/")) == []
    assert queries.failure(sql).startswith("HIVE_PATH_ALREADY_EXISTS")


def test_a_time_with_a_zone_cannot_be_unloaded(queries: Queries) -> None:
    zoned = UNLOAD.format(sql="select from_iso8601_timestamp('1997-05-01T02:00:00Z') as t", folder="zone")
    assert "Unsupported Hive type: timestamp(3) with time zone (column t)" in queries.failure(zoned)


def test_now_is_by_the_clouds_clock(queries: Queries, cloud: Cloud) -> None:
    ((now, today, same),) = queries.rows("select now(), current_date, now() = current_timestamp")
    assert (str(now)[:10], today, same) == (f"{cloud.clock.now():%Y-%m-%d}", f"{cloud.clock.now():%Y-%m-%d}", "true")


def test_a_query_is_stopped(queries: Queries) -> None:
    numbers = "unnest(sequence(1, 100000))"
    long = f"select count(*) from {numbers} as a(x) cross join {numbers} as b(y) where x * y % 7 = 0"
    query = queries.athena.start_query_execution(QueryString=long, WorkGroup=queries.database)["QueryExecutionId"]
    queries.athena.stop_query_execution(QueryExecutionId=query)
    status = queries.athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
    assert (status["State"], status["StateChangeReason"]) == ("CANCELLED", "Query cancelled by user")
    with pytest.raises(ClientError, match="Final query state: CANCELLED"):
        queries.athena.get_query_results(QueryExecutionId=query)


ACCOUNT = "eu-west-1:123456789012"
GRANTS: dict[str, tuple[list[str], list[str]]] = {
    "workgroup": (
        ["athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults", "athena:GetWorkGroup"],
        [f"arn:aws:athena:{ACCOUNT}:workgroup/queried"],
    ),
    "catalogue": (
        ["glue:GetTable"],
        [f"arn:aws:glue:{ACCOUNT}:{rest}" for rest in ("catalog", "database/queried", "table/queried/*")],
    ),
    "listing": (["s3:ListBucket"], ["arn:aws:s3:::queried"]),
    "files": (["s3:GetObject"], ["arn:aws:s3:::queried/loads/*", "arn:aws:s3:::queried/runs/*"]),
    "results": (["s3:PutObject"], ["arn:aws:s3:::queried/results/*"]),
}
SQL = "select count(kind) from loads join runs on runs.value = 1 where run = 'one'"


@pytest.fixture
def status_without(cloud: Cloud, aws: Resources, queries: Queries) -> Callable[[str], dict[str, Any]]:
    """The status of a query by a role that has all of the grants but one."""

    def run(but: str) -> dict[str, Any]:
        role = aws.role("lambda", *(allow(*given) for name, given in GRANTS.items() if name != but))
        status: dict[str, Any] = replace(queries, athena=as_role(cloud, role, "athena")).end(SQL)["Status"]
        return status

    return run


def test_a_role_with_all_of_them_gets_its_answer(status_without: Callable[[str], dict[str, Any]]) -> None:
    assert status_without("nothing")["State"] == "SUCCEEDED"


def test_a_role_without_the_workgroup_starts_nothing(status_without: Callable[[str], dict[str, Any]]) -> None:
    with pytest.raises(ClientError, match="not authorized to perform: athena:StartQueryExecution"):
        status_without("workgroup")


@pytest.mark.parametrize(
    ("but", "reason"),
    [
        ("catalogue", "glue:GetTable"),
        ("listing", "s3:ListBucket"),
        ("files", "PERMISSION_DENIED: s3://queried/"),
        ("results", "Unable to verify/create output bucket queried"),
    ],
)
def test_a_query_fails_where_the_role_may_not_read_or_write(
    status_without: Callable[[str], dict[str, Any]], but: str, reason: str
) -> None:
    status = status_without(but)
    assert status["State"] == "FAILED"
    assert reason in status["StateChangeReason"]
