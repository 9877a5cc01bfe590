"""The two kinds of events that are recorded."""

from __future__ import annotations

from pydantic import Field

from millrace.messages.envelope import ExecutionInput, Message


class Output(Message):
    uri: str = Field(alias="S3OutputPath")


class HyperParameters(Message):
    run: str
    """Name of the train execution; the machine gives it to the job."""


class Trained(Message):
    """Detail of "SageMaker Training Job State Change" with status Completed."""

    job: str = Field(alias="TrainingJobName")
    hyperparameters: HyperParameters = Field(alias="HyperParameters")
    output: Output = Field(alias="OutputDataConfig")
    started_ms: int | None = Field(default=None, alias="TrainingStartTime")
    ended_ms: int | None = Field(default=None, alias="TrainingEndTime")

    @property
    def archive_uri(self) -> str:
        """Where SageMaker puts the artefact of a job."""
        return f"{self.output.uri.rstrip('/')}/{self.job}/output/model.tar.gz"


class Judged(Message):
    """Detail of our own `model.registered` and `model.refused`."""

    run_name: str
    package_arn: str = ""
    version: str = ""
    gates: tuple[str, ...] = ()
    """One sentence per gate."""


class News(ExecutionInput):
    detail: Trained | Judged
