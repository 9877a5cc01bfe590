"""A drop that is larger than a function takes, by the deployed templates: a job of Spark, then one commit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from math import ceil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from millrace.console.demo.electricity import STORY
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import LocalCloud, started
from millrace.console.queries.money.month import find_cost
from millrace.contract.load import load_contract
from millrace.datasets.commits import NewDrop, commit_together
from millrace.datasets.compaction import FEWEST
from millrace.datasets.new_rows import RowsInMemory
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin
from millrace.workload.bulk import job_usd
from millrace.workload.load import load_workload
from tests.electricity import CLOCK, sample
from tests.end_to_end.test_upkeep import NAMES, drop, rows
from tests.functions.ingestion.test_ingest import csv
from tests.localcloud.control import control
from tests.localcloud.resources import closed
from tests.localcloud.waiting import until
from tests.millrace.datasets.conftest import source_of

ROWS, AGAIN, EACH = 15_000, 5, 2_000
"""Rows of the file, 1.4 MB; rows that come twice; rows of a small file, of which FEWEST are more than a mebibyte."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A stage whose functions take a mebibyte."""
    folder = tmp_path_factory.mktemp("bulk")
    shutil.copytree(STORY.folder, folder / "workloads" / STORY.workload)
    stages = {"local": {"bulk": {"vcpus": 8, "above_mb": 1}}}
    (folder / "cdk.json").write_text(json.dumps({"context": {"stages": stages}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder / "workloads"))
        with started(folder / "build", clock=CLOCK, workloads=[STORY.workload]) as cloud:
            yield cloud


def test_it_is_judged_by_a_job_and_committed_once(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    known = sample(0, ROWS)
    drop(cloud, "all.csv", csv(pa.concat_tables([known, known.slice(7, AGAIN)])) + b"1,2\n")
    machines, ingest = cloud.client("stepfunctions"), NAMES.machine_arn("ingest")
    (execution,) = until(lambda: machines.list_executions(stateMachineArn=ingest)["executions"])
    state = json.loads(closed(machines, execution["executionArn"])["output"])
    (done,) = state["validation"]["answer"]["drops"]
    assert (done["rows_accepted"], done["rows_total"]) == (ROWS, ROWS)
    assert done["reasons"] == {"duplicate_key": AGAIN, "columns": 1}
    run = {"applicationId": state["bulk"]["ApplicationId"], "jobRunId": state["bulk"]["JobRunId"]}
    job = cloud.client("emr-serverless").get_job_run(**run)["jobRun"]
    assert job["state"] == "SUCCESS"
    cost = find_cost(local_environment(cloud), NAMES, load_workload(STORY.folder))
    [spark] = [line for line in cost.lines if line.unit == "vCPU hours"]
    assert spark.count == job["billedResourceUtilization"]["vCPUHour"] > 0
    assert cost.reserved_usd == spark.reserved_usd == ceil(100 * job_usd(0)) / 100
    (snapshot,) = rows(cloud, monkeypatch).snapshots()
    assert str(snapshot.snapshot_id) == done["snapshot_id"]
    assert control(cloud.endpoint_url, "denials", secret=cloud.secret) == []


def test_at_night_a_job_joins_small_files_that_are_too_many_for_a_function(
    cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, lake = rows(cloud, monkeypatch), Lake(NAMES, load_contract(STORY.folder))
    held = table.scan().count()
    part, drops = sample(0, EACH).append_column("_line", pa.array(range(EACH))), []
    for number in range(FEWEST):
        later = pc.add(part["timestamp"], timedelta(days=1000 * number + 1000))
        moved = part.set_column(part.column_names.index("timestamp"), "timestamp", later)
        of = source_of(f"{number}")
        drops.append(NewDrop(source=of, write=RowsInMemory(lake, "rows", moved, of, tmp_path / f"{number}").write))
    commit_together(lake, "rows", drops)
    version, before = pin(lake, "before"), rows(cloud, monkeypatch).scan().to_arrow().sort_by("timestamp")
    machines, given = cloud.client("stepfunctions"), json.dumps({"cause": "night"})
    run = machines.start_execution(stateMachineArn=NAMES.machine_arn("upkeep"), input=given)["executionArn"]
    state = json.loads(closed(machines, run)["output"])
    job = {"applicationId": state["bulk"]["ApplicationId"], "jobRunId": state["bulk"]["JobRunId"]}
    assert cloud.client("emr-serverless").get_job_run(**job)["jobRun"]["state"] == "SUCCESS"
    after = rows(cloud, monkeypatch)
    [task] = after.scan().plan_files()
    assert task.file.record_count == held + FEWEST * EACH
    pinned = after.scan(snapshot_id=version.snapshot_id)
    assert len([*pinned.plan_files()]) > FEWEST
    for scan in (after.scan(), pinned):
        assert scan.to_arrow().sort_by("timestamp").equals(before)
    assert pin(lake, "after").data_digest == version.data_digest
    assert control(cloud.endpoint_url, "denials", secret=cloud.secret) == []
