"""The searches for hyperparameters that a person started, with their trainings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from millrace.aws.deletion import is_not_found
from millrace.console.queries.executions import list_executions
from millrace.console.queries.stored import find_object
from millrace.errors import RunError
from millrace.messages.training_run import Run
from millrace.names import TUNE, WorkloadNames
from millrace.workload.tuning import value_of

STATUS = {"Completed": "SUCCEEDED", "Failed": "FAILED", "Stopped": "ABORTED"}
"""SageMaker's statuses in the words of Step Functions. Every other status means that the job is under way."""


@dataclass(frozen=True, kw_only=True)
class TunedTraining:
    """One training of a tuning job."""

    job: str
    status: str
    hyperparameters: Mapping[str, Any]
    value: float | None
    """The value of the metric that was searched for; None if the training has none, or none yet."""
    seconds: float | None
    """None until it has ended."""
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class TuningJob:
    """One tuning job."""

    machine: ClassVar[str] = TUNE
    redrives: ClassVar[int] = 0
    name: str
    arn: str
    status: str
    """SUCCEEDED, FAILED, ABORTED or RUNNING."""
    started: datetime
    stopped: datetime | None
    metric: str
    """The name of the metric that is minimized."""
    trainings: tuple[TunedTraining, ...]
    """The best first; trainings without a value come last."""

    @property
    def seconds(self) -> float | None:
        """Seconds from its start to its end; None while it runs."""
        return (self.stopped - self.started).total_seconds() if self.stopped else None

    @property
    def best(self) -> TunedTraining | None:
        """The best training; None while no training has a value."""
        return next((training for training in self.trainings if training.value is not None), None)


def list_tunings(sagemaker: Any, names: WorkloadNames, *, limit: int) -> list[TuningJob]:
    """The newest tuning jobs of the workload, without their trainings. `sagemaker` is boto3's client."""
    found = sagemaker.list_hyper_parameter_tuning_jobs(
        NameContains=names.tuning(), SortBy="CreationTime", SortOrder="Descending", MaxResults=min(limit, 100)
    )
    return [_job(one, ()) for one in found["HyperParameterTuningJobSummaries"]]


def read_tuning(sagemaker: Any, names: WorkloadNames, name: str = "") -> TuningJob:
    """The tuning job of this name, or else the newest one, with its trainings. Raises RunError if there is none."""
    if not name:
        newest = list_tunings(sagemaker, names, limit=1)
        if not newest:
            raise RunError(f"expected a tuning of {names.workload}, got none: `millrace {TUNE}` starts one")
        name = newest[0].name
    try:
        described = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    except ClientError as error:
        if not is_not_found(error):
            raise
        raise RunError(f"expected the name of a tuning, got {name!r}: `millrace runs --machine {TUNE}`") from None
    return _job(described, sorted(_trainings(sagemaker, name), key=lambda one: (one.value is None, one.value or 0.0)))


def _job(found: Mapping[str, Any], trainings: Any) -> TuningJob:
    config = found.get("HyperParameterTuningJobConfig", {})
    return TuningJob(
        name=found["HyperParameterTuningJobName"],
        arn=found["HyperParameterTuningJobArn"],
        # A summary and a description of a tuning job share these fields.
        status=STATUS.get(found["HyperParameterTuningJobStatus"], "RUNNING"),
        started=found["CreationTime"],
        stopped=found.get("HyperParameterTuningEndTime"),
        metric=config.get("HyperParameterTuningJobObjective", {}).get("MetricName", ""),
        trainings=tuple(trainings),
    )


def _trainings(sagemaker: Any, name: str) -> Iterator[TunedTraining]:
    pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
    for page in pages.paginate(HyperParameterTuningJobName=name):
        for job in page["TrainingJobSummaries"]:
            objective = job.get("FinalHyperParameterTuningJobObjectiveMetric", {})
            begun, ended = job.get("TrainingStartTime"), job.get("TrainingEndTime")
            yield TunedTraining(
                job=job["TrainingJobName"],
                status=job["TrainingJobStatus"],
                hyperparameters={key: value_of(text) for key, text in job["TunedHyperParameters"].items()},
                # A training that was stopped early counts with its value, a failed one does not.
                value=objective.get("Value") if job["TrainingJobStatus"] in {"Completed", "Stopped"} else None,
                seconds=(ended - begun).total_seconds() if begun and ended else None,
                failure=job.get("FailureReason", ""),
            )


def pinned_run(environment: Any, names: WorkloadNames) -> Run:
    """The run.json of the newest run that has pinned its rows.

    A run that the month's budget refused has pinned its rows all the same. Raises RunError if no run has."""
    s3, states = environment.client("s3"), environment.client("stepfunctions")
    # Newest first. Not every run has pinned rows: a run may have failed before that.
    for execution in list_executions(states, names, "train") or ():
        if (content := find_object(s3, names.run_uri(execution["name"], "config", "run.json"))) is not None:
            return Run.model_validate_json(content)
    wanted = f"a run of {names.machine('train')} that has pinned its rows"
    raise RunError(f"expected {wanted}, got none: `millrace train --wait` makes one")
