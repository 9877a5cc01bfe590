"""`millrace query`: SQL through Athena and awswrangler, answered by the local cloud."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.environment import Environment, local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud
from millrace.console.queries.query import decisions_sql, price, quarantine_sql, run_query
from millrace.datasets.quarantine import COLUMNS
from millrace.decisions import absorbed
from millrace.infra.stacks.serving import decision_columns
from tests.console.conftest import NAMES

DECISIONS = decision_columns()

if TYPE_CHECKING:
    from localcloud.kernel.cloud import Cloud

LAKE = PLATFORM.bucket("lake")
JSON_SERDE = "org.openx.data.jsonserde.JsonSerDe"
DAYS = {"type": "date", "range": "1990-01-01,NOW+1DAYS"}
PARQUET_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


@pytest.fixture(scope="module")
def environment(cloud: Cloud) -> Environment:
    """Three decisions, the second kept twice, one absorbed, one absorbed and not deleted yet, and two refused rows."""
    s3, glue = cloud.client("s3"), cloud.client("glue")
    s3.create_bucket(Bucket=LAKE, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    glue.create_database(DatabaseInput={"Name": PLATFORM.database})
    configuration = {"ResultConfiguration": {"OutputLocation": PLATFORM.query_results_uri}}
    cloud.client("athena").create_work_group(Name=PLATFORM.workgroup, Configuration=configuration)
    make_table(glue, "decisions", DECISIONS, JSON_SERDE, DAYS)
    make_table(glue, "decisions_absorbed", dict(absorbed.COLUMNS), PARQUET_SERDE, DAYS, folder="decisions/absorbed")
    make_table(glue, "quarantine", COLUMNS, PARQUET_SERDE, DAYS)
    lines = [line("a", "1997-05-01", 0, 0.25), line("b", "1997-05-02", 0, 0.5), line("b", "1997-05-02", 1, 0.75)]
    for day in ("1997-05-01", "1997-05-02"):
        body = "".join(json.dumps(each) + "\n" for each in lines if each["millrace"]["event_time"].startswith(day))
        s3.put_object(Bucket=LAKE, Key=f"electricity/decisions/date={day}/x.jsonl", Body=body.encode())
    older = [line("a", "1997-05-01", 0, 0.25), line("c", "1997-05-03", 0, 0.5)]
    for one in older:
        day, sink = one["millrace"]["event_time"][:10], pa.BufferOutputStream()
        pq.write_table(absorbed.table_of(json.dumps(one).encode()), sink)
        key = f"electricity/decisions/absorbed/date={day}/0000.parquet"
        s3.put_object(Bucket=LAKE, Key=key, Body=sink.getvalue().to_pybytes())
    refused = {"reason": ["range", "type"], "line": [7, 3], "source": ["s3://l/electricity/week.csv?versionId=1"] * 2}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(refused), sink)
    s3.put_object(
        Bucket=LAKE, Key="electricity/quarantine/date=1997-05-01/x.parquet", Body=sink.getvalue().to_pybytes()
    )
    return local_environment(LocalCloud(endpoint_url=cloud.endpoint_url))


def make_table(
    glue: Any,
    name: str,
    columns: dict[str, str],
    serde: str,
    projection: dict[str, str],
    partition: str = "date",
    folder: str = "",
) -> None:
    location = NAMES.lake_uri(folder or name, "")
    template = {"projection.enabled": "true", "storage.location.template": f"{location}{partition}=${{{partition}}}/"}
    glue.create_table(
        DatabaseName=PLATFORM.database,
        TableInput={
            "Name": NAMES.table(name),
            "Description": f"of {name}",
            "Parameters": {f"projection.{partition}.{key}": value for key, value in projection.items()} | template,
            "PartitionKeys": [{"Name": partition, "Type": "string"}],
            "StorageDescriptor": {
                "Location": location,
                "Columns": [{"Name": key, "Type": kind} for key, kind in columns.items()],
                "SerdeInfo": {"SerializationLibrary": serde},
            },
        },
    )


def line(name: str, day: str, second: int, value: float) -> dict[str, Any]:
    return {
        "captureData": {"endpointOutput": {"data": json.dumps({"value": value})}},
        "eventMetadata": {"eventId": name, "inferenceTime": f"2026-01-01T00:00:0{second}Z"},
        "millrace": {"event_time": f"{day}T00:00:00Z", "model_version": "1", "fallback": False, "latency_ms": 3.5},
    }


@pytest.fixture
def typed(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`typed("SELECT …", "--json")`: as it is typed, in the shell of a local cloud."""
    assert environment.cloud is not None
    monkeypatch.setenv("AWS_ENDPOINT_URL", environment.cloud.endpoint_url)
    return lambda *words: CliRunner().invoke(app, ["query", *words])


def test_an_answer_has_rows_types_bytes_and_its_price(environment: Environment) -> None:
    answer = run_query(
        environment, "select date, count(*) as n, avg(line) as line from electricity_quarantine group by 1"
    )
    assert answer.rows.to_pylist() == [{"date": "1997-05-01", "n": 2, "line": 5.0}]
    assert answer.scanned > 0
    assert answer.usd == pytest.approx(5e-5), "ten megabytes are billed at least"
    assert price(12_345_678) == pytest.approx(13e6 * 5 / 1e12)


def test_the_sql_of_decisions_shows_the_last_line_of_an_id(environment: Environment) -> None:
    rows = run_query(environment, decisions_sql(NAMES, first=None, last=None, limit=50)).rows.to_pylist()
    assert [(row["id"], json.loads(row["output"])["value"]) for row in rows] == [("c", 0.5), ("b", 0.75), ("a", 0.25)]
    one = decisions_sql(NAMES, first=None, last=None, wanted="a' OR 'a' = 'a")
    assert run_query(environment, one).rows.num_rows == 0


def test_the_sql_of_the_quarantine_has_its_filters(environment: Environment) -> None:
    def reasons(**asked: Any) -> list[str]:
        rows = run_query(environment, quarantine_sql(NAMES, **asked)).rows.to_pylist()
        return [row["reason"] for row in rows]

    assert reasons() == ["type", "range"], "by their lines"
    assert reasons(drop="week.csv", reason="range") == ["range"]
    assert reasons(limit=1) == ["type"]


def test_the_command_prints_a_table_and_says_the_cost(typed: Any) -> None:
    done = typed("select reason, line from electricity_quarantine order by line")
    assert done.exit_code == 0, done.output
    assert [one.split() for one in done.stdout.splitlines()] == [["reason", "line"], ["type", "3"], ["range", "7"]]
    assert "two rows" in done.stderr
    assert "0.00005 USD" in done.stderr
    few = typed("select line from electricity_quarantine", "--limit", "1")
    assert "and 1 more" in few.stderr


def test_an_interrupted_command_stops_its_query(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    import awswrangler

    def interrupted(**_: Any) -> None:
        raise KeyboardInterrupt

    stopped: list[str] = []
    monkeypatch.setattr(awswrangler.athena, "wait_query", interrupted)
    monkeypatch.setattr(
        awswrangler.athena, "stop_query_execution", lambda **given: stopped.append(given["query_execution_id"])
    )
    with pytest.raises(KeyboardInterrupt):
        run_query(environment, "select 1")
    assert len(stopped) == 1
