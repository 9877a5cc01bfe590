"""On a bus of the account's own: a drop leads to a live model by events, and those of other stages start nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from millrace.console.demo.electricity import STORY
from millrace.console.demo.months import HISTORY, SAMPLE, months
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud, started
from millrace.messages.events import SOURCE, DatasetCommitted, ModelRegistered, ModelReleased, RetrainRequested
from tests.end_to_end.conftest import REST_S, Witness, control
from tests.end_to_end.test_faults import parquet

pytestmark = pytest.mark.night("by day the rules on a bus and the local cloud's buses are tested by themselves")

ROOT = Path(__file__).resolve().parents[2]
NAMES = STORY.names
BUS = "company"
STARTED_BY_EVENTS = ("train", "retrain", "release")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    folder = tmp_path_factory.mktemp("company")
    shutil.copytree(ROOT / "workloads" / "electricity", folder / "workloads" / "electricity")
    stages = {"local": {"event_bus": BUS}}
    (folder / "cdk.json").write_text(json.dumps({"context": {"stages": stages}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder / "workloads"))
        with started(folder / "build", clock=STORY.start, workloads=[STORY.workload]) as cloud:
            yield cloud


@pytest.fixture(scope="module")
def witness(cloud: LocalCloud) -> Witness:
    """Of the account's bus alone."""
    witness = Witness(cloud=cloud, buses=(BUS,))
    witness.stand_up()
    return witness


def runs(cloud: LocalCloud, machine: str) -> list[dict[str, Any]]:
    found = cloud.client("stepfunctions").list_executions(stateMachineArn=NAMES.machine_arn(machine))
    return list(found["executions"])


def test_no_other_bus_is_made_and_the_console_knows_it(cloud: LocalCloud) -> None:
    buses = {bus["Name"] for bus in cloud.client("events").list_event_buses()["EventBuses"]}
    assert buses == {"default", BUS}
    assert local_environment(cloud).platform.bus == BUS


def test_the_events_of_another_stage_start_nothing(cloud: LocalCloud, witness: Witness) -> None:
    """They are those that start a training, a retraining and a release, as the stage `prod` puts them."""
    prod = NAMES.execution_arn("train", "7f").replace(PLATFORM.prefix, "millrace-prod")
    common = {"workload": NAMES.workload, "run": prod, "cause": "ingest"}
    details = {
        DatasetCommitted: {"rows_total": 10**9, "has_champion": False, "feed": "training"},
        ModelRegistered: {"package_arn": "arn:aws:sagemaker:eu-west-1:123456789012:model-package/a/1", "version": "1"},
        RetrainRequested: {"stage": "prod", "alarms": []},
    }
    entries = [
        {
            "EventBusName": BUS,
            "Source": SOURCE,
            "DetailType": event.detail_type,
            "Detail": json.dumps(common | detail),
        }
        for event, detail in details.items()
    ]
    assert cloud.client("events").put_events(Entries=entries)["FailedEntryCount"] == 0
    cloud.wait(timeout_s=REST_S)
    assert [len(witness.told(event.detail_type)) for event in details] == [1, 1, 1]
    assert {machine: runs(cloud, machine) for machine in STARTED_BY_EVENTS} == {name: [] for name in STARTED_BY_EVENTS}
    witness.bodies.clear()


def test_a_drop_leads_to_a_committed_dataset_a_training_and_a_live_model(cloud: LocalCloud, witness: Witness) -> None:
    rows = pa.concat_tables([month.rows for month in months(SAMPLE, *HISTORY)])
    key = f"{NAMES.workload}/training/eight_months.parquet"
    cloud.client("s3").put_object(Bucket=PLATFORM.bucket("landing"), Key=key, Body=parquet(rows))
    cloud.wait(timeout_s=REST_S)
    ended = {machine: [one["status"] for one in runs(cloud, machine)] for machine in ("ingest", "train", "release")}
    assert ended == {"ingest": ["SUCCEEDED"], "train": ["SUCCEEDED"], "release": ["SUCCEEDED"]}
    (committed,) = witness.told(DatasetCommitted.detail_type)
    (registered,) = witness.told(ModelRegistered.detail_type)
    (released,) = witness.told(ModelReleased.detail_type)
    assert committed["detail"]["rows_accepted"] == rows.num_rows
    # An execution that a rule starts is named by the event: these two by events that the bus has had.
    for event, machine in ((committed, "train"), (registered, "release")):
        (run,) = runs(cloud, machine)
        assert run["name"].startswith(event["id"])
    assert released["detail"]["run"] == run["executionArn"]
    assert control(cloud, "denials") == []
