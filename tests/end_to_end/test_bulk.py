"""A drop that is larger than a function takes, by the deployed templates: a job of Spark, then one commit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from math import ceil

import pyarrow as pa
import pytest

from millrace.console.demo.electricity import STORY
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import LocalCloud, started
from millrace.console.queries.money.month import find_cost
from millrace.workload.bulk import job_usd
from millrace.workload.load import load_workload
from tests.electricity import CLOCK, sample
from tests.end_to_end.test_upkeep import NAMES, drop, rows
from tests.functions.ingestion.test_ingest import csv
from tests.localcloud.control import control
from tests.localcloud.resources import closed
from tests.localcloud.waiting import until

ROWS, AGAIN = 15_000, 5
"""Rows of the file, 1.4 MB; rows that come twice."""


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
