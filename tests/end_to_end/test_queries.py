"""A scheduled query reads a table of others, and what it finds becomes rows; one that fails is told to a person."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from millrace.console.demo.electricity import STORY
from millrace.console.local_cloud.local_cloud import LocalCloud, started
from millrace.console.queries.executions import failure_of
from millrace.messages.ingest import LISTED
from millrace.names import QUERY
from tests.end_to_end.conftest import REST_S
from tests.localcloud.waiting import until
from tests.mails import mails

ROOT = Path(__file__).resolve().parents[2]
NAMES = STORY.names
HOME = ROOT / "workloads" / NAMES.workload
DUE = STORY.start.replace(hour=6, minute=0, second=0, microsecond=0)
"""The hour of the first query, on the day before it runs for the first time."""
SAMPLE = HOME / "sample" / "elec2.parquet"
LAKE, FILES = "market-lake", 24
"""The files that 30 writers make of the 48 rows of a day."""
COLUMNS = {"timestamp": "timestamp", "day_of_week": "int", "class": "int"} | dict.fromkeys(
    ("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"), "double"
)
QUERIES: dict[str, Any] = {
    "half-hours": {
        "schedule": "cron(0 6 * * ? *)",
        "feed": "training",
        "sql": f"""
SELECT {", ".join(f'"{name}"' for name in COLUMNS)} -- as the contract says
FROM market.half_hours
WHERE "timestamp" < cast(:as_of AS timestamp) AND "timestamp" >= cast(:as_of - interval '1' day AS timestamp)
-- of a day""",
        "tables": {"market.half_hours": f"s3://{LAKE}/half-hours/"},
    },
    "broken": {"schedule": "cron(0 7 * * ? *)", "feed": "labels", "sql": "SELECT clas FROM electricity_rows"},
    "foreign": {"schedule": "cron(0 8 * * ? *)", "feed": "labels", "sql": "SELECT * FROM market.secrets"},
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    folder = tmp_path_factory.mktemp("queries")
    own = folder / "workloads" / NAMES.workload
    shutil.copytree(HOME, own)
    with (own / "workload.yaml").open("a") as declaration:
        declaration.write(f"\n{yaml.safe_dump({'queries': QUERIES})}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder / "workloads"))
        with started(folder / "build", clock=STORY.start, workloads=[NAMES.workload]) as cloud:
            make_table(cloud)
            yield cloud


def make_table(cloud: LocalCloud) -> None:
    """The table of the market, in a bucket and a database of its own: it knows nothing of Millrace."""
    s3, glue = cloud.client("s3"), cloud.client("glue")
    s3.create_bucket(Bucket=LAKE, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for folder in ("half-hours", "secret"):
        s3.upload_file(str(SAMPLE), LAKE, f"{folder}/part-0.parquet")
    glue.create_database(DatabaseInput={"Name": "market"})
    for name, folder in (("half_hours", "half-hours"), ("secrets", "secret")):
        glue.create_table(
            DatabaseName="market",
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "StorageDescriptor": {
                    "Location": f"s3://{LAKE}/{folder}/",
                    "Columns": [{"Name": column, "Type": kind} for column, kind in COLUMNS.items()],
                    "SerdeInfo": {
                        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
                    },
                },
            },
        )


def runs(cloud: LocalCloud, query: str) -> list[dict[str, Any]]:
    """The executions of a query that have ended, the oldest first."""
    states = cloud.client("stepfunctions")
    listed = states.list_executions(stateMachineArn=NAMES.machine_arn(QUERY))["executions"]
    each = [states.describe_execution(executionArn=one["executionArn"]) for one in reversed(listed)]
    return [one for one in each if json.loads(one["input"])["detail"]["schedule"] == f"query-{query}"]


def dropped(cloud: LocalCloud) -> list[str]:
    landing = NAMES.platform.bucket("landing")
    found = cloud.client("s3").list_objects_v2(Bucket=landing, Prefix=f"{NAMES.workload}/")
    return [one["Key"] for one in found.get("Contents", ())]


def test_the_rows_of_each_day_are_drops_like_any_other(cloud: LocalCloud) -> None:
    """Two days by the clock: the many small files of a day are one drop, and each row before is in the table."""
    for day in (1, 2):
        cloud.move_clock(DUE + timedelta(days=day, minutes=30))
        cloud.wait(timeout_s=REST_S)
    assert [run["status"] for run in runs(cloud, "half-hours")] == ["SUCCEEDED", "SUCCEEDED"]
    last = (DUE + timedelta(days=2)).replace(tzinfo=None)
    keys, states = dropped(cloud), cloud.client("stepfunctions")
    lists = [key for key in keys if key.endswith(f"{LISTED}.json")]
    assert {key.rpartition("/")[0] for key in keys if key not in lists} == {key.removesuffix(".json") for key in lists}
    assert (len(lists), len(keys)) == (2, 2 + 2 * FILES), "each run has a folder of its own"
    assert all(key.startswith(f"{NAMES.workload}/training/half-hours/") for key in lists)
    assert len(states.list_executions(stateMachineArn=NAMES.machine_arn("ingest"))["executions"]) == 2
    times = pq.read_table(SAMPLE)["timestamp"].to_pylist()
    assert rows_of(cloud) == [at for at in times if last - timedelta(days=2) <= at < last]


def test_a_query_that_fails_is_told_to_a_person_with_its_reason(cloud: LocalCloud) -> None:
    """One names a column that is not there, the other reads a table that it does not declare."""
    cloud.move_clock(max(cloud.now(), DUE + timedelta(days=2, hours=2, minutes=30)))
    cloud.wait(timeout_s=REST_S)
    for query, reason in (("broken", "COLUMN_NOT_FOUND: Column 'clas'"), ("foreign", "PERMISSION_DENIED: market.sec")):
        failed = runs(cloud, query)[0]
        assert failed["status"] == "FAILED"
        assert failure_of(failed["error"], failed["cause"]).startswith(f"States.TaskFailed: {reason}")
        until(lambda name=failed["name"]: [mail for mail in mails(cloud) if mail.startswith("FAILED") and name in mail])
    assert not [key for key in dropped(cloud) if "/labels/" in key]


def test_a_day_is_asked_again_by_hand(cloud: LocalCloud) -> None:
    """The rows of that day are there already, so none is added; what names no query is refused."""
    states, machine = cloud.client("stepfunctions"), NAMES.machine_arn(QUERY)
    before, files = rows_of(cloud), dropped(cloud)
    given = {"as_of": f"{DUE + timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}", "detail": {"schedule": "query-half-hours"}}
    states.start_execution(stateMachineArn=machine, input=json.dumps(given))
    wrong = [given | {"as_of": "x') --"}, given | {"detail": {"schedule": "query-other"}}, {}]
    refused = [states.start_execution(stateMachineArn=machine, input=json.dumps(one)) for one in wrong]
    cloud.wait(timeout_s=REST_S)
    assert len(dropped(cloud)) == len(files) + FILES + 1
    assert rows_of(cloud) == before
    for one in refused:
        found = states.describe_execution(executionArn=one["executionArn"])
        assert (found["status"], found["error"]) == ("FAILED", "UnknownQuery")


def rows_of(cloud: LocalCloud) -> list[Any]:
    """The times of the rows in the table, as Athena reads it."""
    athena, platform = cloud.client("athena"), NAMES.platform
    asked = f"SELECT timestamp FROM {NAMES.table('rows')} ORDER BY 1"
    context = {"Database": platform.database}
    name = athena.start_query_execution(QueryString=asked, WorkGroup=platform.workgroup, QueryExecutionContext=context)
    query = {"QueryExecutionId": name["QueryExecutionId"]}
    state = until(lambda: ended(athena.get_query_execution(**query)["QueryExecution"]["Status"]["State"]))
    assert state == "SUCCEEDED"
    cells = [row["Data"][0]["VarCharValue"] for row in athena.get_query_results(**query)["ResultSet"]["Rows"][1:]]
    return pa.array(cells).cast(pa.timestamp("us")).to_pylist()


def ended(state: str) -> str:
    return "" if state in ("QUEUED", "RUNNING") else state
