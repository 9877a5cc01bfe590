"""`millrace query`: SQL through Athena and awswrangler, answered by the local cloud."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from localcloud.kernel.cloud import Cloud
from millrace.console.cli.app import app
from millrace.console.environment import Environment, local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud
from millrace.console.queries.query import price, run_query
from millrace.datasets.quarantine import COLUMNS
from tests.console.conftest import NAMES

LAKE = PLATFORM.bucket("lake")
DAYS = {"type": "date", "range": "1990-01-01,NOW+1DAYS"}
PARQUET_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


@pytest.fixture(scope="module")
def environment(cloud: Cloud) -> Environment:
    """A table with two refused rows."""
    s3, glue = cloud.client("s3"), cloud.client("glue")
    s3.create_bucket(Bucket=LAKE, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    glue.create_database(DatabaseInput={"Name": PLATFORM.database})
    configuration = {"ResultConfiguration": {"OutputLocation": PLATFORM.query_results_uri}}
    cloud.client("athena").create_work_group(Name=PLATFORM.workgroup, Configuration=configuration)
    location = NAMES.lake_uri("quarantine", "")
    template = {"projection.enabled": "true", "storage.location.template": f"{location}date=${{date}}/"}
    glue.create_table(
        DatabaseName=PLATFORM.database,
        TableInput={
            "Name": NAMES.table("quarantine"),
            "Parameters": {f"projection.date.{key}": value for key, value in DAYS.items()} | template,
            "PartitionKeys": [{"Name": "date", "Type": "string"}],
            "StorageDescriptor": {
                "Location": location,
                "Columns": [{"Name": key, "Type": kind} for key, kind in COLUMNS.items()],
                "SerdeInfo": {"SerializationLibrary": PARQUET_SERDE},
            },
        },
    )
    refused = {"reason": ["range", "type"], "line": [7, 3], "source": ["s3://l/electricity/week.csv?versionId=1"] * 2}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(refused), sink)
    s3.put_object(
        Bucket=LAKE, Key="electricity/quarantine/date=1997-05-01/x.parquet", Body=sink.getvalue().to_pybytes()
    )
    return local_environment(LocalCloud(endpoint_url=cloud.endpoint_url))


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
    assert answer.bytes_scanned > 0
    assert answer.usd == pytest.approx(5e-5), "ten megabytes are billed at least"
    assert price(12_345_678) == pytest.approx(13e6 * 5 / 1e12)


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
