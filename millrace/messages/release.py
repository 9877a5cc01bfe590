"""The machine `release`: its input and the answer of each step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from millrace.messages.envelope import ExecutionInput, Message, StepResult
from millrace.workload.rollout import Phases

Turn = Literal["open", "busy"]
"""`open`: this release's turn; `busy`: another one has the lease."""
ReleaseOutcome = Literal[Turn, "done", "outdated"]
"""`done`: this version or a newer one is or was live; `outdated`: another version is live than the one that it was
evaluated beside."""
NOT_WATCHED = "NotWatched"
"""The error of a release whose version is live while an alarm on it or the dashboard could not be made."""


class Rollback(Message):
    """A person's wish to have an earlier version live again: the key `rollback` of a release's input."""

    reason: Annotated[str, Field(min_length=1)]
    who: str = "console"
    """An identity, for the audit table."""
    to: str | None = None
    """Number of the version; None: the previous one."""
    restores: bool = False
    """Whether `to` is the live version already and the endpoint is to serve it, scaled and watched, again."""


class PackageToRelease(Message):
    """The detail of `model.registered`, as far as a release reads it."""

    package_arn: str


class ReleaseRollout(Message):
    """The release's phases, in order."""

    phases: Phases


class ReleaseInput(ExecutionInput):
    """The input of a release execution: the package that was registered, or a rollback."""

    detail: PackageToRelease | None = None
    rollback: Rollback | None = None
    rollout: ReleaseRollout

    @model_validator(mode="after")
    def _one_of_both(self) -> ReleaseInput:
        if (self.detail is None) == (self.rollback is None):
            came = "neither" if self.detail is None else "both"
            raise ValueError(f"expected detail.package_arn (a registered model) or rollback, got {came}")
        return self


class ReleaseStarted(Message):
    """Answer of `start_release`: the package, and which endpoints exist already."""

    outcome: ReleaseOutcome
    label: str
    """`v2-1f0e4a`: the middle of the names of models and configurations."""
    has_canary: bool
    package_arn: str
    version: str
    run_name: str
    """The train execution that made the version."""
    image: str
    model_data_url: str
    model_digest: str = ""
    """Of the artefact's members, and of the monitors' baseline, as the registry keeps them; empty where it has none."""
    baseline_digest: str = ""
    sample_digest: str = ""
    """Of the rows and answers of the preflight; empty for a version from before it was kept."""
    previous_version: str
    """The live version before this release; `none` before the first."""
    refusal: str = ""
    """What is wrong where the outcome is `outdated`."""
    has_live: bool
    has_challenger: bool


class SmokeTested(Message):
    """Answer of `smoke_test`: whether the challenger endpoint serves the model that was evaluated."""

    passed: bool
    rows: int
    maximum_difference: float | None
    """Between a served number and the evaluation's; None where an answer lacks a field or has another text."""
    sentence: str


class ReleaseAdvanced(Message):
    """Answer of `advance_release`."""

    revision: int
    """Of the release pointers."""


class ReleaseTidied(Message):
    """Answer of `tidy_release`."""

    deleted: tuple[str, ...]
    """`endpoint config …` and `model …`."""


class NamedResource(Message):
    """A model or an endpoint configuration that the machine has created."""

    name: str


class StartedState(ExecutionInput):
    """The state once the release has started."""

    start_release: StepResult[ReleaseStarted]


class LiveState(StartedState):
    """The state once the live endpoint serves the version."""

    rollback: Rollback | None = None
    model: NamedResource
    live_config: NamedResource


class Fleet(Message):
    """What the live endpoint serves by before an update."""

    status: str
    """SageMaker's word for what it does now."""
    config: str
    instances: int
    """That it should have."""


class InstanceType(Message):
    """Of an endpoint configuration."""

    instance: str


class FromConfig(Message):
    """What an update takes from the new configuration instead of keeping it."""

    properties: tuple[dict[str, str], ...]


class UpdateState(LiveState):
    """The state when the live endpoint is about to be updated."""

    live_fleet: Fleet
    live_config_now: InstanceType
    from_config: FromConfig
