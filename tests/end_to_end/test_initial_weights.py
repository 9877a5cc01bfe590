"""A training starts from a version of the registry: declared, deployed, read by the job's role as a channel."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load

from millrace.artefact.artefact import ARCHIVE, Artefact, read_archive
from millrace.aws.objects import download
from millrace.console.actions.tune import tune
from millrace.console.demo.electricity import STORY
from millrace.console.demo.months import HISTORY, SAMPLE, months
from millrace.console.environment import Environment, local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud, deploy, start_synthesis, started
from millrace.console.local_cloud.processes import Processes
from millrace.console.queries.tunings import pinned_run, read_tuning
from millrace.console.queries.versions import find_versions
from millrace.workload.load import load_workload
from tests.end_to_end.conftest import REST_S

pytestmark = pytest.mark.night(
    "by day the job reads initial weights from its channel, and a role's right to them is in the template"
)

ROOT = Path(__file__).resolve().parents[2]
NAMES = STORY.names


@dataclass(frozen=True, kw_only=True)
class Started:
    """A cloud whose second training started from the version of the first."""

    cloud: LocalCloud
    folder: Path
    """The workload's."""
    source: Artefact
    trained: Artefact
    log: list[str]
    """Of the training jobs, all of them."""

    @property
    def environment(self) -> Environment:
        return local_environment(self.cloud)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    build = tmp_path_factory.mktemp("weights")
    folder = build / "workloads" / NAMES.workload
    shutil.copytree(ROOT / "workloads" / NAMES.workload, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder.parent))
        with started(build, clock=STORY.start, workloads=[NAMES.workload]) as cloud:
            s3 = cloud.client("s3")
            for month in months(SAMPLE, *HISTORY):
                key = f"{NAMES.workload}/training/{month.name}.parquet"
                s3.put_object(Bucket=PLATFORM.bucket("landing"), Key=key, Body=month.drop())
            cloud.wait(timeout_s=REST_S)
            (first,) = find_versions(local_environment(cloud), NAMES)
            uri = first.model_data_url
            declare(folder, uri, first.digests["model"])
            processes = Processes(folder=build)
            start_synthesis(processes, workloads=[NAMES.workload]).succeed()
            deploy(processes, cloud)
            yield Started(
                cloud=cloud,
                folder=folder,
                source=artefact(s3, uri, build / "first"),
                trained=artefact(s3, train(cloud)["training"]["model_data_url"], build / "second"),
                log=log(cloud),
            )


def declare(folder: Path, uri: str, digest: str) -> None:
    """The trunk of that model, and a search among two learning rates."""
    document = yaml.safe_load((folder / "workload.yaml").read_text())
    document["training"]["weights"] = {"from": uri, "digest": f"sha256:{digest}", "freeze": "trunk"}
    ranges = {"learning_rate": [0.001, 0.01], "epochs": [1, 2]}
    document["tuning"] = {"parameters": ranges, "max_jobs": 2, "budget_usd": 20}
    (folder / "workload.yaml").write_text(yaml.safe_dump(document))


def train(cloud: LocalCloud) -> dict[str, Any]:
    states = cloud.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=NAMES.machine_arn("train"), input="{}")["executionArn"]
    cloud.wait(timeout_s=REST_S)
    ended = states.describe_execution(executionArn=arn)
    assert ended["status"] == "SUCCEEDED", ended
    output: dict[str, Any] = json.loads(ended["output"])
    return output


def artefact(s3: Any, uri: str, folder: Path) -> Artefact:
    folder.mkdir()
    download(s3, uri, folder / ARCHIVE)
    return read_archive(folder / ARCHIVE)


def log(cloud: LocalCloud) -> list[str]:
    pages = cloud.client("logs").get_paginator("filter_log_events")
    found = pages.paginate(logGroupName="/aws/sagemaker/TrainingJobs")
    return [event["message"] for page in found for event in page["events"]]


def test_the_trunk_is_that_of_the_version_and_the_head_has_learnt(weights: Started) -> None:
    before, after = load(weights.source.weights), load(weights.trained.weights)
    assert before.keys() == after.keys()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert {"network.head.weight", "network.head.bias"} <= changed
    assert not [name for name in changed if ".hidden." in name]
    assert any(f"{weights.source.digest}, trunk frozen" in line for line in weights.log)


def test_a_try_and_a_tuning_start_from_it_too(weights: Started) -> None:
    place, workload = weights.environment, load_workload(weights.folder)
    source = pinned_run(place, NAMES)
    tried = tune(place, NAMES, workload, folder=weights.folder, source=source, chosen={"epochs": 1}).name
    tuning = tune(place, NAMES, workload, folder=weights.folder, source=source).name
    weights.cloud.wait(timeout_s=REST_S)
    sagemaker = weights.cloud.client("sagemaker")
    trainings = [one for name in (tried, tuning) for one in read_tuning(sagemaker, NAMES, name).trainings]
    assert [(one.status, one.failure) for one in trainings] == [("Completed", "")] * 3
    assert sum("trunk frozen" in line for line in log(weights.cloud)) == 4
