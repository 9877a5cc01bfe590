"""The events that are recorded: a completed training job, and a model that was registered or refused."""

from __future__ import annotations

from pydantic import Field

from millrace.artefact.artefact import ARCHIVE
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

    @property
    def archive_uri(self) -> str:
        """The URI of the job's artefact, where SageMaker has put it."""
        return f"{self.output.uri.rstrip('/')}/{self.job}/output/{ARCHIVE}"


class TrackedEvent(ExecutionInput):
    """A call by one of three rules: one for each kind of detail."""

    detail: TrainingJobCompleted | ModelRegistered | ModelRefused


class RunTracked(Message):
    """The answer of the function: the train execution and the id of the MLflow run that records it."""

    run: str
    mlflow_run: str
