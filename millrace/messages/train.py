"""The machine `train`: its input and the answer of each step."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator

from millrace.messages.envelope import ExecutionInput, Message, Moment, StepResult

TrainingReason = Literal["first", "alarm", "schedule", "command"]
GateBaseline = Literal["baseline", "non_inferiority"]
"""What a model is judged against: the naive rule before a first champion, then the champion."""


class ExternalFiles(Message):
    """An external model, to be judged in place of one that is trained."""

    uri: str
    """The folder of its two files, `s3://<artefacts>/<workload>/external/<digest>/`."""
    digest: str
    """Of both files, as `millrace.artefact.external` makes it."""


class TrainInput(ExecutionInput):
    """The input once the machine has filled in why it trains."""

    reason: TrainingReason
    external_model: ExternalFiles | None = None


class DatasetPinned(Message):
    """Answer of `snapshot`: the dataset version of this run, its digests, and the URIs of the run's files."""

    run: str
    snapshot_id: str
    """As text: JSON's numbers are doubles to many readers."""
    tag: str
    data_digest: str
    contract_digest: str
    config_digest: str
    code_digest: str
    rows: int
    as_of: Moment
    reason: TrainingReason
    gate: GateBaseline
    joined: int = 0
    """Rows that were made of decisions and their late labels."""
    unmatched: int = 0
    """Late labels without a decision."""
    refused: int = 0
    corrected: int = 0
    """Rows whose label a later one has replaced."""
    manifest_uri: str
    config_uri: str


class BudgetRefusal(StrEnum):
    """Why a training may not start."""

    CHAMPION_EXISTS = "champion_exists"
    """A version is live that was not when the run began: its gate would be the naive rule."""
    RELEASE = "release"
    """No version is live, and the first one is on its way: what is trained now would be compared with none."""
    BUSY = "busy"
    """Another training holds the lease."""
    BUDGET = "budget"
    """The month's budget has no room for the projected cost."""


class ChampionModel(Message):
    """The live version, to be compared with."""

    version: str
    model_data_url: str
    model_digest: str = ""
    """Of its members, as approved; empty for a version from before it was kept."""


class BudgetChecked(Message):
    """Answer of `budget`: whether the training may start."""

    accepted: bool
    reason: BudgetRefusal | None = None
    """None when accepted."""
    projected_usd: float
    monthly_usd: float
    champion: ChampionModel | None = None


class TrainingJobEnded(Message):
    """What the machine keeps of the training job."""

    job: str = ""
    model_data_url: str


FiniteOrNone = Annotated[float | None, AfterValidator(lambda it: it if it is not None and math.isfinite(it) else None)]
"""JSON has no NaN and no infinity."""


class GateVerdict(Message):
    """One gate's judgement of a model."""

    name: str
    passed: bool
    measured: FiniteOrNone
    """None when the measured value is not finite."""
    bound: FiniteOrNone
    sentence: str
    """What was measured against what, for a person."""
    is_warning: bool = False
    """Whether it passed, and a person should know something all the same."""
    figure: str = ""
    """What `measured` is; empty where the sentence alone says it."""
    unit: str = ""
    """Of both numbers; % of a share, which is 0 to 1 all the same."""
    direction: Literal["at_most", "at_least"] = "at_most"


class GatesJudged(Message):
    """Answer of `gating`: each gate's verdict on the evaluation report."""

    passed: bool
    verdicts: tuple[GateVerdict, ...]
    sentences: tuple[str, ...] = ()
    """One per gate, for a person."""

    @property
    def refusals(self) -> tuple[GateVerdict, ...]:
        """The verdicts of the gates that the model did not pass."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)


class VersionRegistered(Message):
    """Answer of `registration`: the new version in the model registry."""

    package_arn: str
    version: str


class PinnedState(TrainInput):
    """The state once the dataset version is pinned."""

    snapshot: StepResult[DatasetPinned]


class TrainedState(TrainInput):
    """The state once the training job has ended."""

    training: TrainingJobEnded


class JudgedState(TrainedState):
    """The state once the gates have judged the model."""

    gating: StepResult[GatesJudged]
