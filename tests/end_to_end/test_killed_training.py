"""A training whose instance is lost without a signal: its retry ends with the weights of an undisturbed one."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.artefact.artefact import ARCHIVE, Artefact, read_archive
from millrace.aws.objects import download
from millrace.console.demo.electricity import STORY
from millrace.console.demo.months import HISTORY, SAMPLE, months
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud, started
from millrace.jobs.training import checkpoint
from tests.end_to_end.conftest import REST_S
from tests.localcloud.waiting import until
from tests.processes import writing

pytestmark = pytest.mark.night("by day the machine's retries are walked by recorded failures")

ROOT = Path(__file__).resolve().parents[2]
NAMES = STORY.names
EPOCHS = 250
"""Twenty seconds at least: a checkpoint is written every ten."""


@dataclass(frozen=True, kw_only=True)
class Twice:
    """Two registered models of the same rows: of an undisturbed training, and of one that was killed."""

    undisturbed: Artefact
    killed: Artefact
    jobs: list[dict[str, Any]]
    """The descriptions of the killed run's jobs, in the order of their starts."""
    epochs: list[list[int]]
    """Which each of them has told."""


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twice]:
    build = tmp_path_factory.mktemp("killed")
    folder = build / "workloads" / NAMES.workload
    shutil.copytree(ROOT / "workloads" / NAMES.workload, folder)
    document = yaml.safe_load((folder / "workload.yaml").read_text())
    document["training"]["parameters"] |= {"epochs": EPOCHS, "patience": EPOCHS, "learning_rate": 0.0002}
    document["training"]["walk_forward_steps"] = 1
    (folder / "workload.yaml").write_text(yaml.safe_dump(document))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder.parent))
        with started(build, clock=STORY.start, workloads=[NAMES.workload]) as cloud:
            for month in months(SAMPLE, *HISTORY):
                key = f"{NAMES.workload}/training/{month.name}.parquet"
                cloud.client("s3").put_object(Bucket=PLATFORM.bucket("landing"), Key=key, Body=month.drop())
            cloud.wait(timeout_s=REST_S)
            jobs = disturbed(cloud, build / "local")
            logs = [build / "local" / "logs" / "jobs" / "training" / f"{job['TrainingJobName']}.log" for job in jobs]
            yield Twice(
                undisturbed=version(cloud, "1", build),
                killed=version(cloud, "2", build),
                jobs=jobs,
                epochs=[told(log) for log in logs],
            )


def disturbed(cloud: LocalCloud, local: Path) -> list[dict[str, Any]]:
    """The jobs of a run on the same rows, whose first job is killed once it has written a checkpoint."""
    sagemaker, folders = cloud.client("sagemaker"), local / "jobs" / "training"
    before = set(folders.iterdir())
    cloud.client("stepfunctions").start_execution(stateMachineArn=NAMES.machine_arn("train"), input="{}")
    (job,) = until(lambda: set(folders.iterdir()) - before, limit_s=120)
    until(lambda: list(job.rglob(checkpoint.NAME)), limit_s=300)
    process = min(writing(local / "logs" / "jobs" / "training" / f"{job.name}.log"))
    # The container dies whole, as its first process has a group of its own.
    os.killpg(os.getpgid(process), signal.SIGKILL)
    cloud.wait(timeout_s=REST_S)
    names = sorted(path.name for path in set(folders.iterdir()) - before)
    return [sagemaker.describe_training_job(TrainingJobName=name) for name in names]


def version(cloud: LocalCloud, number: str, build: Path) -> Artefact:
    package = cloud.client("sagemaker").describe_model_package(ModelPackageName=NAMES.package_arn(number))
    (folder := build / f"version-{number}").mkdir()
    uri = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    download(cloud.client("s3"), uri, folder / ARCHIVE)
    return read_archive(folder / ARCHIVE)


def told(log: Path) -> list[int]:
    lines = [line for line in log.read_text().splitlines() if line.startswith("epoch=")]
    return [int(line.split()[0].removeprefix("epoch=")) for line in lines]


def test_the_retry_goes_on_from_the_checkpoint(twice: Twice) -> None:
    first, second = twice.jobs
    assert [first["TrainingJobStatus"], second["TrainingJobStatus"]] == ["Failed", "Completed"]
    assert first["FailureReason"] == "AlgorithmError: , exit code: 137"
    assert first["CheckpointConfig"] == second["CheckpointConfig"]
    begun, resumed = twice.epochs
    assert begun[0] == 0
    assert 0 < resumed[0] <= begun[-1] + 1 < EPOCHS
    assert resumed[-1] == EPOCHS - 1


def test_the_registered_weights_are_those_of_an_undisturbed_run(twice: Twice) -> None:
    digests = twice.undisturbed.description.digests, twice.killed.description.digests
    assert digests[0] == digests[1]
    assert twice.killed.weights == twice.undisturbed.weights
