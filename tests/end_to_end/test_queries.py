"""A scheduled query reads a table of others, and what it finds becomes rows; one that fails is told to a person."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from millrace.console.demo.electricity import STORY
from millrace.console.local_cloud.local_cloud import LocalCloud, started
from millrace.console.queries.executions import failure_of
from millrace.messages.ingest import LISTED
from millrace.names import QUERY
from tests import builders
from tests.live import REST_S
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
SELECT {", ".join(f'"{name}"' for name in COLUMNS if name != "nswdemand")} -- as the contract says
FROM market.half_hours
WHERE "timestamp" < cast(:as_of AS timestamp) AND "timestamp" >= cast(:as_of - interval '1' day AS timestamp)
-- of a day""",
        "tables": {f"market.{name}": f"s3://{LAKE}/{name.replace('_', '-')}/" for name in ("half_hours", "demand")},
        "joins": [
            {
                "table": "market.demand",
                "key": ["day_of_week"],
                "at": "timestamp",
                "since": "seen",
                "columns": ["nswdemand"],
            }
        ],
    },
    "broken": {"schedule": "cron(0 7 * * ? *)", "feed": "labels", "sql": "SELECT clas FROM electricity_rows"},
    "foreign": {"schedule": "cron(0 8 * * ? *)", "feed": "labels", "sql": "SELECT * FROM market.secrets"},
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with declaring(tmp_path_factory.mktemp("queries"), queries=QUERIES) as cloud:
        make_table(cloud)
        yield cloud


@contextmanager
def declaring(folder: Path, **sections: Any) -> Iterator[LocalCloud]:
    """A cloud with the workload and these sections besides."""
    own = folder / "workloads" / NAMES.workload
    shutil.copytree(HOME, own)
    with (own / "workload.yaml").open("a") as declaration:
        declaration.write(f"\n{yaml.safe_dump(sections)}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder / "workloads"))
        with started(folder / "build", clock=STORY.start, workloads=[NAMES.workload]) as cloud:
            yield cloud


def make_table(cloud: LocalCloud) -> None:
    """The table of the market, in a bucket and a database of its own: it knows nothing of Millrace."""
    s3, glue = cloud.client("s3"), cloud.client("glue")
    s3.create_bucket(Bucket=LAKE, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for folder in ("half-hours", "secret"):
        s3.upload_file(str(SAMPLE), LAKE, f"{folder}/part-0.parquet")
    s3.put_object(Bucket=LAKE, Key="demand/part-0.parquet", Body=builders.parquet(demand()))
    glue.create_database(DatabaseInput={"Name": "market"})
    seen = {"day_of_week": "int", "seen": "timestamp", "nswdemand": "double"}
    tables = {"half_hours": ("half-hours", COLUMNS), "secrets": ("secret", COLUMNS), "demand": ("demand", seen)}
    for name, (folder, columns) in tables.items():
        glue.create_table(
            DatabaseName="market",
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "StorageDescriptor": {
                    "Location": f"s3://{LAKE}/{folder}/",
                    "Columns": [{"Name": column, "Type": kind} for column, kind in columns.items()],
                    "SerdeInfo": {
                        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
                    },
                },
            },
        )


def demand() -> pa.Table:
    """The demand by a clock of its own: it is known a quarter of an hour after its half hour began."""
    rows = pq.read_table(SAMPLE, columns=["day_of_week", "timestamp", "nswdemand"])
    seen = pc.add(rows["timestamp"], timedelta(minutes=15))
    return rows.set_column(1, "seen", seen)


def known() -> list[tuple[Any, float | None]]:
    """Each time of the sample with what was known then: the demand of the last half hour of that day of the week."""
    sample, last, found = pq.read_table(SAMPLE), dict[int, float](), []
    columns = (sample[name].to_pylist() for name in ("timestamp", "day_of_week", "nswdemand"))
    for at, day, now in zip(*columns, strict=True):
        found.append((at, last.get(day)))
        last[day] = now
    return found


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
    assert rows_of(cloud) == [row for row in known() if last - timedelta(days=2) <= row[0] < last]


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


def rows_of(cloud: LocalCloud) -> list[tuple[Any, float]]:
    """The rows in the table, each with its time and demand, as Athena reads it."""
    athena, platform = cloud.client("athena"), NAMES.platform
    asked = f"SELECT timestamp, nswdemand FROM {NAMES.table('rows')} ORDER BY 1"
    context = {"Database": platform.database}
    name = athena.start_query_execution(QueryString=asked, WorkGroup=platform.workgroup, QueryExecutionContext=context)
    query = {"QueryExecutionId": name["QueryExecutionId"]}
    state = until(lambda: ended(athena.get_query_execution(**query)["QueryExecution"]["Status"]["State"]))
    assert state == "SUCCEEDED"
    rows = athena.get_query_results(**query)["ResultSet"]["Rows"][1:]
    cells = [[cell["VarCharValue"] for cell in row["Data"]] for row in rows]
    return [(datetime.fromisoformat(at), float(demand)) for at, demand in cells]


def ended(state: str) -> str:
    return "" if state in ("QUEUED", "RUNNING") else state
