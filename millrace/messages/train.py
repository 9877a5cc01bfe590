"""The messages of the machine `train`: its input, the answer of each function and the states in between.

Each step takes the state and leaves its answer in it:

    snapshot      JoiningState → JoinedLabels      late labels are joined, a portion a call, until none is left; then
                  JoiningState → DatasetPinned     the rows of this run are pinned, its files are written
    budget        PinnedState → BudgetChecked      it may start, or why not
    pull          PinnedState → VersionPulled      in place of a training: a version of another stage is copied
    training job  leaves TrainingJobEnded; the evaluation job follows
    gating        PinnedState → GatesJudged        each gate's verdict on the evaluation report
    registration  JudgedState → VersionRegistered  a new version of the model registry
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator

from millrace.messages.envelope import ExecutionInput, Message, Moment, StepResult

TrainingReason = Literal["first", "alarm", "schedule", "command"]
GateBaseline = Literal["baseline", "non_inferiority"]
"""What a model is compared with: before the first champion its naive rule (`baseline`), then the champion."""


FiniteOrNone = Annotated[float | None, AfterValidator(lambda it: it if it is not None and math.isfinite(it) else None)]
"""A number; NaN and infinity become None, since JSON has neither."""


MOST_PORTIONS, PAUSE_S = 1_000, 10
"""The most portions in which labels are joined, and so the most calls of `snapshot` in a run; and the seconds between
two of them. Above a thousand million labels a portion has more of them."""


class ExternalFiles(Message):
    """An external model. The run judges it and trains none."""

    uri: str
    """The folder of its two files: `s3://<artefacts>/<workload>/external/<digest>/`."""
    digest: str
    """One SHA-256 over both files, as `millrace.artefact.external` makes it."""


class TrainInput(ExecutionInput):
    """The input, after the machine has filled in why it trains.

    {"cause": "…", "as_of": "1997-01-01T00:10:00Z", "reason": "first"}"""

    reason: TrainingReason
    started: Moment | None = None
    """When the execution started, by the machine's clock. `as_of` may lie far before it, as after a redrive of
    `retrain`. None in executions of a machine that does not say it."""
    external_model: ExternalFiles | None = None
    """None: a model is trained."""
    pulled: str = ""
    """The ARN of the version of another stage that the run judges; empty: a model is made here."""
    accept_corrections: bool = False
    """Whether a person has accepted the corrected labels, however many they are."""


class Corrections(Message):
    """The labels of this run's rows beside those that the live version was trained on.

    {"rows": 11472, "labelled": 11472, "share": 1.0, "moved": 1.0, "bound": 0.05, "is_held": true}"""

    rows: int = 0
    """The rows with another label now."""
    labelled: int = 0
    share: float = 0.0
    moved: FiniteOrNone = 0.0
    """The most by which an error on these rows can have moved with their labels, as a share. None without a limit."""
    unmeasured: int = 0
    """Corrected numbers that are missing now, or not finite then or now. They count in `rows`, not in `moved`."""
    first_unmeasured: str = ""
    """The first of them, with its event time if that is a part of the key."""
    bound: float = 1.0
    """`retraining.maximum_corrected` of workload.yaml."""
    is_held: bool = False
    """Whether the training waits for a person. Then no label was corrected."""


class JoinedLabels(Message):
    """The answer of `snapshot` as long as labels are left that no call has looked at; it begins there the next time.

    {"rows": 2000000, "unmatched": 11, "refused": 0, "time": "timestamp", "cuts": [865382400, …], "done": 2,
     "has_more": true}"""

    rows: int = 0
    """The labels whose decisions are training rows now."""
    unmatched: int = 0
    """The labels without a decision; the next training looks at them again."""
    refused: int = 0
    """The labels with a decision about a row that the contract refuses. Their rows never come in."""
    time: str = ""
    """The column by which the labels are divided; empty for a hash of their keys."""
    cuts: tuple[int, ...] = ()
    """Where each portion of them but the first one begins."""
    done: int = 0
    """The portions that were looked at."""
    has_more: bool = False


class PinnedRun(Message):
    """What a training run is of; `run.json` and the answer of `snapshot` say it."""

    run: str
    """The name of the train execution."""
    tag: str
    """The tag that holds the snapshot in the table."""
    data_digest: str
    """SHA-256 over the digests and row counts of all drops up to the snapshot."""
    contract_digest: str
    config_digest: str
    """SHA-256 of what `workload.yaml` declares. A remark in the file does not change it."""
    code_digest: str
    """SHA-256 of the training container's image, or of its sources where no image is built."""
    rows: int
    """Rows in the snapshot."""
    volume_gb: int = 30
    """The volume of each instance that reads the rows."""
    as_of: Moment
    """The time that counted as now when the run started."""
    reason: TrainingReason
    gate: GateBaseline


class DatasetPinned(PinnedRun):
    """The answer of `snapshot`: the dataset version of this run, its digests, and the URIs of the run's files.

    {"run": "7c1b2f0e-first", "snapshot_id": "4821940093718391", "tag": "7c1b2f0e-first", "data_digest": "dddd…",
     "rows": 11424, "reason": "first", "gate": "baseline", "joined": 0, "unmatched": 0, "refused": 0, "corrected": 0,
     "manifest_uri": "s3://…/runs/7c1b2f0e-first/manifest.json",
     "config_uri": "s3://…/runs/7c1b2f0e-first/config/", …}"""

    snapshot_id: str
    """The Iceberg snapshot, as text: many readers of JSON read a number as a double, which would lose digits."""
    joined: int = 0
    """Rows that were made of decisions and their late labels before the snapshot was pinned."""
    unmatched: int = 0
    """Late labels whose decision was not found."""
    refused: int = 0
    """Late labels whose row the contract refuses."""
    has_more: bool = False
    """Whether labels are left. Then the answer is a `JoinedLabels`."""
    corrections: Corrections = Corrections()
    manifest_uri: str
    """SageMaker's manifest of the snapshot's data files."""
    config_uri: str
    """The folder with `run.json`, `workload.yaml`, `contract.yaml` and `schema.json`."""


class BudgetRefusal(StrEnum):
    """Why a training may not start."""

    CHAMPION_EXISTS = "champion_exists"
    """No version was live when the run began, but one is live now. The run's gate would still be the naive rule."""
    RELEASE = "release"
    """No version is live, but the first one is being released. A model of this run would be compared with none."""
    BUSY = "busy"
    """Another training holds the lease `train`."""
    CORRECTIONS = "corrections"
    """More labels are corrected than the workload allows; a person may accept them."""
    BUDGET = "budget"
    """The month's budget has no room for the projected cost."""


class ChampionModel(Message):
    """The live version, which the new model is compared with."""

    version: str
    model_data_url: str
    """The URI of its `model.tar.gz`."""
    model_digest: str = ""
    """The approved SHA-256 of the archive's members. Empty for a version that was registered before it was kept."""


class BudgetChecked(Message):
    """The answer of `budget`: whether the training may start.

    {"accepted": true, "reason": null, "projected_usd": 0.62, "monthly_usd": 50.0, "champion": null}"""

    accepted: bool
    reason: BudgetRefusal | None = None
    """Why the training may not start. None if it may."""
    projected_usd: float
    """The most that the run may cost, in US dollars."""
    monthly_usd: float
    """The month's budget, in US dollars."""
    champion: ChampionModel | None = None
    """None if no version is live."""


class VersionPulled(Message):
    """The answer of `pull`: the copy of a version of another stage, under this stage's key.

    {"version": "3", "model_data_url": "s3://…/runs/7c1b2f0e/training/model.tar.gz"}"""

    version: str
    """Its number there."""
    model_data_url: str


class TrainingJobEnded(Message):
    """What made the run's model, as the machine keeps it in its state."""

    job: str = ""
    """The job that trained the model or packed an external one; empty for a pulled version."""
    model_data_url: str
    """The URI of its `model.tar.gz`."""


class GateVerdict(Message):
    """One gate's judgement of a model.

    {"name": "size", "passed": true, "measured": 0.05, "bound": 10.0, "direction": "at_most", "unit": "MB",
     "sentence": "model.tar.gz is 0.050 MB; at most 10.0 MB allowed", …}"""

    name: str
    passed: bool
    measured: FiniteOrNone
    """None if the measured value is not finite."""
    bound: FiniteOrNone
    sentence: str
    """The measured value and its bound in words, for a person."""
    is_warning: bool = False
    """Whether the gate passed, but a person should look at its sentence."""
    figure: str = ""
    """What `measured` is. Empty if only the sentence says it."""
    unit: str = ""
    """The unit of both numbers. `%` means that both are shares, 0 to 1."""
    direction: Literal["at_most", "at_least"] = "at_most"
    """On which side of the bound the value passes."""


class NextStep(Message):
    """What may help a model that a gate refused or warned of, chosen from the evaluation report.

    {"kind": "train_longer", "epochs": 4, "words": ["tune", "--parameter", "epochs=8", "--wait"], …}"""

    kind: Literal[
        "train_again",
        "lower_rate",
        "look_back",
        "change_scale",
        "train_longer",
        "add_trees",
        "look_at_slice",
        "more_rows",
        "tune",
    ]
    words: tuple[str, ...]
    """The command in words after `millrace`, without workload and stage."""
    epochs: int = 0
    """Of `train_longer`: the epochs that were trained, and the loss still fell."""
    rows: int = 0
    """Of `more_rows`: about so many rows in all would decide the comparison. Of `look_at_slice`: its test rows."""
    hours: float = 0.0
    """Of `look_back`: how far the rule to beat looks back."""
    rival: str = ""
    """Of `add_trees`: the simple model that is certainly better."""
    slice: str = ""
    """Of `look_at_slice`: `region = south`."""
    error: float = 0.0
    """Of `look_at_slice`: the error on its rows."""
    error_of_all: float = 0.0
    """Of `look_at_slice`: the error on all test rows."""

    @property
    def sentence(self) -> str:
        """Why this step, for a person; the command follows it."""
        return {
            "train_again": "a new training is compared with the version that is live now",
            "lower_rate": "the training went astray: try a lower learning rate",
            "look_back": f"the label {self.hours:g} hours before is nearer than a model that reads no past: `millrace "
            f"new` with `--horizon-hours {self.hours:g}` proposes one that does",
            "change_scale": "answers are cut at the contract's lower bound: the logarithm of the label has no answer "
            "below 0",
            "train_longer": f"the validation loss still fell in the last of {self.epochs} epochs: try more of them",
            "add_trees": f"{self.rival} is certainly better on these rows: try the best of both and their mean",
            "look_at_slice": f"on the {self.rows:,} test rows with {self.slice} the error is {self.error:.4g}, on all "
            f"{self.error_of_all:.4g}: look at them",
            "more_rows": f"too few rows to be certain, about {self.rows:,} in all would do: drop more",
            "tune": "no single cause stands out: search for better hyperparameters",
        }[self.kind]


class GatesJudged(Message):
    """The answer of `gating`: each gate's verdict on the evaluation report.

    {"passed": true, "verdicts": [{"name": "size", "passed": true, …}, …],
     "sentences": ["passed: size: model.tar.gz is 0.050 MB; at most 10.0 MB allowed", …]}"""

    passed: bool
    """Whether every gate passed."""
    verdicts: tuple[GateVerdict, ...]
    sentences: tuple[str, ...] = ()
    """One sentence for each gate, for a person."""
    next_step: NextStep | None = None
    """None if every gate passed without a warning, or if no step is known that helps."""
    advice: str = ""
    """The next step as a line with its command, for the mail; empty without a step."""
    tested_from: Moment | None = None
    tested_to: Moment | None = None
    """The test days on which a model is compared with the live version; `tested_to` is a midnight after the last."""
    candidates: int = 1
    """How many candidates have been judged on these days, this one included."""

    @property
    def refusals(self) -> tuple[GateVerdict, ...]:
        """The verdicts of the gates that the model did not pass."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)


class VersionRegistered(Message):
    """The answer of `registration`: the new version in the model registry.

    {"package_arn": "arn:…:model-package/millrace-local-electricity/1", "version": "1"}"""

    package_arn: str
    version: str


class JoiningState(TrainInput):
    """The state before `snapshot`: {"snapshot": {"answer": {"cuts": [865382400, …], "done": 2, …}}, …}."""

    snapshot: StepResult[JoinedLabels] | None = None
    """None before its first call."""


class PinnedState(TrainInput):
    """The state after `snapshot`: {"reason": "first", "snapshot": {"answer": {"run": "7c1b2f0e-first", …}}, …}."""

    snapshot: StepResult[DatasetPinned]


class TrainedState(TrainInput):
    """The state after the training job: {"training": {"job": "1f0e…-0-0", "model_data_url": "s3://…"}, …}."""

    training: TrainingJobEnded


class JudgedState(TrainedState):
    """The state after `gating`: {"gating": {"answer": {"passed": true, …}}, …}."""

    gating: StepResult[GatesJudged]
