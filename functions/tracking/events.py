"""The events that are recorded: of a training job, and the gates' verdicts."""

from __future__ import annotations

from pydantic import Field

from millrace.artefact.artefact import ARCHIVE
from millrace.messages.envelope import ExecutionInput, Message
from millrace.messages.events import ModelRefused, ModelRegistered


class OutputDataConfig(Message):
    uri: str = Field(alias="S3OutputPath")


class HyperParameters(Message):
    run: str
    """Name of the train execution; the machine gives it to the job."""


class TrainingJobCompleted(Message):
    """Detail of "SageMaker Training Job State Change" with status Completed."""

    job: str = Field(alias="TrainingJobName")
    hyperparameters: HyperParameters = Field(alias="HyperParameters")
    output: OutputDataConfig = Field(alias="OutputDataConfig")
    started_ms: int | None = Field(default=None, alias="TrainingStartTime")
    ended_ms: int | None = Field(default=None, alias="TrainingEndTime")

    @property
    def archive_uri(self) -> str:
        """Where SageMaker puts the artefact of a job."""
        return f"{self.output.uri.rstrip('/')}/{self.job}/output/{ARCHIVE}"


class TrackedEvent(ExecutionInput):
    """A call of one of the three rules."""

    detail: TrainingJobCompleted | ModelRegistered | ModelRefused


class RunTracked(Message):
    """Answer of `tracking`."""

    run: str
    mlflow_run: str
