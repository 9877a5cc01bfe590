"""What is recorded of a training run, without anything of MLflow."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from millrace.artefact.artefact import Artefact
from millrace.evaluation.report import Evaluation
from millrace.functions.tracking.events import TrainingJobCompleted
from millrace.messages.events import ModelRefused, ModelRegistered


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
