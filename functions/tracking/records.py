"""What is recorded of a training run, and how it comes to MLflow: one experiment for each workload of a stage, and one
MLflow run for each training run.

MLflow chooses the id of a run, so two events that come at once make two MLflow runs. Each event looks again once it has
made one, and deletes its own if another was made before."""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from millrace.artefact.artefact import Artefact
from millrace.evaluation.report import Evaluation
from millrace.messages.envelope import ExecutionInput, Message
from millrace.messages.events import ModelRefused, ModelRegistered


class OutputDataConfig(Message):
    uri: str = Field(alias="S3OutputPath")


class HyperParameters(Message):
    run: str
    """The name of the train execution. The machine passes it to the job."""


class TrainingJobCompleted(Message):
    """The detail of the event "SageMaker Training Job State Change" with the status Completed."""

    job: str = Field(alias="TrainingJobName")
    hyperparameters: HyperParameters = Field(alias="HyperParameters")
    output: OutputDataConfig = Field(alias="OutputDataConfig")
    started_ms: int | None = Field(default=None, alias="TrainingStartTime")
    """Milliseconds since 1970."""
    ended_ms: int | None = Field(default=None, alias="TrainingEndTime")


class TrackedEvent(ExecutionInput):
    """A call by one of three rules: one for each kind of detail."""

    detail: TrainingJobCompleted | ModelRegistered | ModelRefused


class RunTracked(Message):
    """The answer of the function: the train execution and the id of the MLflow run that records it."""

    run: str
    mlflow_run: str


@dataclass(frozen=True, kw_only=True)
class Point:
    """One value of a metric. In a training curve `step` is the epoch."""

    name: str
    value: float
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What one event adds to the record of a run."""

    run: str
    """The name of the train execution."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    finished: bool = False
    """Whether the run is over with this event."""


def trained(detail: TrainingJobCompleted, artefact: Artefact) -> Entry:
    """The entry of a completed training job: hyperparameters, digests and training curves.

    A value that is no finite number is left out."""
    description = artefact.description
    # One object for each epoch, with its number as `epoch` and its metrics beside it.
    epochs = json.loads(artefact.history)
    points = [
        Point(name=name, value=float(value), step=int(epoch["epoch"]))
        for epoch in epochs
        for name, value in epoch.items()
        if name != "epoch" and isinstance(value, int | float) and math.isfinite(value)
    ]
    if detail.started_ms and detail.ended_ms:
        points.append(Point(name="training_seconds", value=(detail.ended_ms - detail.started_ms) / 1000))
    return Entry(
        run=detail.hyperparameters.run,
        parameters={"family": description.family, **{name: str(v) for name, v in description.parameters.items()}},
        tags={
            "training_job": detail.job,
            "torch": description.torch,
            **{f"{name}_digest": value for name, value in asdict(description.digests).items()},
        },
        points=tuple(points),
    )


def judged(detail: ModelRegistered | ModelRefused, report: Evaluation) -> Entry:
    """The entry of a verdict: the metrics on the test rows, the gates' sentences, and the package if there is one."""
    measured = {
        **report.metrics,
        **{f"naive_{name}": value for name, value in report.naive.metrics.items()},
        "latency_p99_ms": report.latency_ms.p99,
        "size_mb": report.size_mb,
    }
    package = detail if isinstance(detail, ModelRegistered) else None
    return Entry(
        run=detail.run_name,
        tags={
            "registered": str(package is not None).lower(),
            "package_arn": package.package_arn if package else "",
            "model_version": package.version if package else "",
            **{f"gate_{number}": sentence for number, sentence in enumerate(detail.gates)},
        },
        points=tuple(
            Point(name=f"test_{name}", value=value)
            for name, value in measured.items()
            if value is not None and math.isfinite(value)
        ),
        finished=True,
    )


RUN_TAG, MADE_TAG = "millrace_run", "millrace_made"
"""The tags of an MLflow run with the train execution, and with the time at which it was made, in nanoseconds."""
FILE = "sqlite:///"
BATCH = 1000
"""The most metrics that MLflow takes in one call. Beside them it takes 100 parameters and 100 tags."""


class Store:
    """The tracking server or file behind `uri`."""

    def __init__(self, uri: str, *, experiment: str) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        with warnings.catch_warnings():
            # mlflow 3.17 itself uses sqlalchemy's deprecated "noload", which warns at import. This may go with a later
            # mlflow.
            warnings.simplefilter("ignore")
            from mlflow.tracking import MlflowClient

            with _alone(uri):
                self._client: Any = MlflowClient(tracking_uri=uri, registry_uri=uri)
                # Of two events that create it at once, one fails, and Lambda repeats it.
                found = self._client.get_experiment_by_name(experiment)
                self._experiment = str(found.experiment_id if found else self._client.create_experiment(experiment))

    def write(self, entry: Entry, *, at: datetime) -> str:
        """Write the entry and return the id of its MLflow run. The same entry a second time changes nothing."""
        from mlflow.entities import Metric, Param, RunTag

        run_id = self.find(entry.run) or self._made(entry.run, at)
        moment_ms = int(at.timestamp() * 1000)
        metrics = [Metric(point.name, point.value, moment_ms, point.step) for point in entry.points]
        params = [Param(name, value) for name, value in entry.parameters.items()]
        self._client.log_batch(run_id, params=params, tags=[RunTag(name, value) for name, value in entry.tags.items()])
        # In parts, since MLflow limits the metrics of one call.
        for first in range(0, len(metrics), BATCH):
            self._client.log_batch(run_id, metrics=metrics[first : first + BATCH])
        if entry.finished:
            self._client.set_terminated(run_id, end_time=moment_ms)
        return run_id

    def find(self, run: str) -> str | None:
        """The id of the first MLflow run that records the train execution `run`. None if there is none yet."""
        recorded, first = f"tags.{RUN_TAG} = '{run}'", [f"tags.{MADE_TAG} ASC"]
        found = self._client.search_runs([self._experiment], recorded, max_results=1, order_by=first)
        return str(found[0].info.run_id) if found else None

    def _made(self, run: str, at: datetime) -> str:
        """Create the MLflow run and return its id. If another event was faster, return its run and delete this one."""
        made = self._client.create_run(
            self._experiment,
            start_time=int(at.timestamp() * 1000),
            run_name=run,
            tags={RUN_TAG: run, MADE_TAG: str(time.time_ns())},
        )
        run_id = str(made.info.run_id)
        kept = self.find(run) or run_id
        if kept != run_id:
            self._client.delete_run(run_id)
        return kept


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Let no other process open the same file while the block runs.

    mlflow creates its tables without a lock. Two processes that create them at once leave them half made for ever. A
    tracking server takes care of that itself, so for its URI nothing is locked."""
    if not uri.startswith(FILE):
        yield
        return
    with Path(f"{uri.removeprefix(FILE)}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
