"""Records training runs in MLflow: first the training job, then the gates' verdict and the registration.

It is called by events beside the machines, so it can never make a run fail."""

from __future__ import annotations

import tempfile
from pathlib import Path

import boto3
from aws_lambda_powertools import Logger

from millrace.artefact.artefact import ARCHIVE, read_archive
from millrace.aws.objects import download, read_object
from millrace.evaluation.report import EVALUATION_FILE, Evaluation
from millrace.functions.tracking.records import (
    Entry,
    RunTracked,
    Store,
    TrackedEvent,
    TrainingJobCompleted,
    judged,
    trained,
)
from millrace.messages.envelope import handles
from millrace.messages.events import ModelRefused, ModelRegistered
from millrace.settings.training import TrackingSettings

SETTINGS = TrackingSettings.parse()
LOGGER = Logger()
S3 = boto3.client("s3")


@LOGGER.inject_lambda_context
@handles(TrackedEvent)
def handler(event: TrackedEvent) -> RunTracked:
    """Record the event. Both events of a training write to the same MLflow run."""
    entry = _trained(event.detail) if isinstance(event.detail, TrainingJobCompleted) else _judged(event.detail)
    run_id = Store(SETTINGS.tracking_uri, experiment=SETTINGS.names.prefix).write(entry, at=event.as_of)
    LOGGER.info("recorded", extra={"run": entry.run, "mlflow_run": run_id})
    return RunTracked(run=entry.run, mlflow_run=run_id)


def _trained(detail: TrainingJobCompleted) -> Entry:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / ARCHIVE
        download(S3, f"{detail.output.uri.rstrip('/')}/{detail.job}/output/{ARCHIVE}", archive)
        return trained(detail, read_archive(archive))


def _judged(detail: ModelRegistered | ModelRefused) -> Entry:
    uri = SETTINGS.names.run_uri(detail.run_name, "evaluation", EVALUATION_FILE)
    return judged(detail, Evaluation.model_validate_json(read_object(S3, uri)))
