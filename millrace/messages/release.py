"""The messages of the machine `release`: its input, the answer of each function and the states in between.

    start_release    ReleaseInput → ReleaseStarted     whose turn it is, and what is released
    smoke_test       StartedState → SmokeTested        the challenger answers as the evaluation did, or not
    advance_release  LiveState → ReleaseAdvanced       the release pointers have moved

SageMaker's states in between leave a `NamedResource`, a `Fleet` or an `InstanceType` in the machine's state."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from millrace.messages.envelope import ExecutionInput, Message, StepResult
from millrace.workload.rollout import Phases

Turn = Literal["open", "busy", "behind"]
"""`open`: this release has its turn. `busy`: another release has the lease. `behind`: a version that answers copies
has it, which takes weeks."""
ReleaseOutcome = Literal[Turn, "done", "outdated", "unapproved", "refused"]
"""What a release does next. `open`: it goes on. `busy`, `behind`: it waits. `unapproved`: it ends, and another
execution goes on once a person has approved the version. `refused`: nothing, since a person has refused it, or nobody
may approve so.

`done`: nothing, since this version or a newer one is or was live. `outdated`: nothing, since another version is live
than the version that this one was compared with in its evaluation."""


class Rollback(Message):
    """The key `rollback` of a release's input: an earlier version shall be live again.

    {"reason": "wrong prices since Monday", "who": "arn:aws:iam::123456789012:user/operator", "to": "3"}"""

    reason: Annotated[str, Field(min_length=1)]
    who: str = "console"
    """Who wants the rollback, for the audit table: the ARN of a person, or a word such as `cleanup`."""
    to: str | None = None
    """The number of the version. None: the previous version."""
    restores: bool = False
    """Whether the live version is restored: the endpoint serves it again, and is scaled."""


class PackageToRelease(Message):
    """The part of the detail of `model.registered` that a release reads."""

    package_arn: str


class ReleaseRollout(Message):
    """The release's phases, in order."""

    phases: Phases


class ReleaseInput(ExecutionInput):
    """The input of a release execution: a registered package or a rollback, never both.

    {"cause": "…", "as_of": "…", "detail": {"package_arn": "arn:…:model-package/millrace-local-electricity/1"},
     "rollout": {"phases": ["canary", "live"]}}"""

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
    """The answer of `start_release`: the package to release, and which endpoints exist already.

    {"outcome": "open", "label": "v1-5d2c7e", "has_canary": false, "version": "1", "run_name": "7c1b2f0e-first",
     "previous_version": "none", "has_live": false, "has_challenger": false, …}"""

    outcome: ReleaseOutcome
    label: str
    """The middle part of the names of the release's models and configurations: `v2-1f0e4a`."""
    has_shadow: bool = False
    """Whether the version answers copies first: the rollout says so, and a version is live to be compared with."""
    has_assisted: bool = False
    """Whether people decide rows beside its answers first, likewise."""
    has_canary: bool
    """Whether the version answers a share of the requests first, likewise."""
    has_warm: bool = False
    """Whether the version before stays warm once this one is live: the rollout says so, and there is one."""
    package_arn: str
    version: str
    run_name: str
    """The name of the train execution that made the version."""
    image: str
    """The image of the serving container."""
    model_data_url: str
    """The URI of the version's `model.tar.gz`."""
    model_digest: str = ""
    """The SHA-256 of the artefact's members, as the registry keeps it."""
    baseline_digest: str = ""
    """The SHA-256 of the monitors' baseline, as the registry keeps it."""
    promised_error: str = ""
    automate_from: str = ""
    costs_digest: str = ""
    """These three as in the package's metadata (`millrace.state.pointers.Version`)."""
    rule_answer: str = ""
    """As `millrace.state.pointers.Version` has it."""
    sample_digest: str = ""
    """The SHA-256 of `sample.jsonl`, the rows and answers that the preflight compares with.

    Empty for a version that was registered before this digest was kept."""
    previous_version: str
    """The live version before this release. `none` before the first release."""
    refusal: str = ""
    """What is wrong if the outcome is `outdated` or `refused`, else empty."""
    approval_hours: float = 168
    """How long a version waits for a person before it is refused."""
    has_live: bool
    """Whether there is a live endpoint to update. Without one the machine makes it."""
    has_challenger: bool
    """Whether an earlier release left a challenger endpoint. Then the machine updates it."""


class SmokeTested(Message):
    """The answer of `smoke_test`: whether the challenger endpoint serves the model that was evaluated.

    {"passed": true, "rows": 20, "sentence": "20 real rows answered within 1e-04 by …"}"""

    passed: bool
    rows: int
    """Rows that were answered."""
    sentence: str
    """What was compared, or what is wrong, for a person."""


class ReleaseAdvanced(Message):
    """The answer of `advance_release`: {"revision": 3, "watched_requests": 48}."""

    revision: int
    """The revision of the release pointers. Each move of the pointers adds 1."""
    watched_requests: int
    """Requests to the new fleet while the release's alarms watched it. If there were none, they have judged nothing.

    The first version has no alarms of a release, since no version is there to roll back to: it has 0."""


class NamedResource(Message):
    """A model or an endpoint configuration that the machine has created."""

    name: str


class StartedState(ExecutionInput):
    """The state after `start_release`: {"start_release": {"answer": {"outcome": "open", …}}, …}."""

    start_release: StepResult[ReleaseStarted]


class ModelState(StartedState):
    """The state once SageMaker has the model of the version."""

    model: NamedResource


class LiveState(ModelState):
    """The state once the live endpoint serves the version, or once the function has answered by it.

    {"start_release": {"answer": {…}}, "model": {"name": "millrace-local-electricity-v1-5d2c7e-0-0"},
     "live_config": {"name": "millrace-local-electricity-v1-5d2c7e-0-0-live"}, …}"""

    rollback: Rollback | None = None
    """None for the release of a registered model."""
    live_config: NamedResource | None = None
    """The endpoint configuration of the live endpoint; None without endpoints."""


class Fleet(Message):
    """The live endpoint before its update.

    {"status": "InService", "config": "millrace-local-electricity-v1-5d2c7e-0-0-live", "instances": 2}"""

    status: str
    """SageMaker's status of the endpoint."""
    config: str
    """The name of its endpoint configuration."""
    instances: int
    """The number of instances that it should have (DesiredInstanceCount)."""


class InstanceType(Message):
    """The instance type of an endpoint configuration: {"instance": "ml.m5.large"}."""

    instance: str


class FromConfig(Message):
    """The properties that an update takes from the new configuration; it keeps the others of the live fleet.

    {"properties": [{"VariantPropertyType": "DesiredInstanceCount"}]}"""

    properties: tuple[dict[str, str], ...]


class UpdateState(LiveState):
    """The state when the live endpoint is about to be updated."""

    live_fleet: Fleet
    live_config_now: InstanceType
    from_config: FromConfig
