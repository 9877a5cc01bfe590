"""The events of our own bus: one class per detail, one catalogue.

    {"source": "millrace", "detail-type": "model.refused",
     "detail": {"workload": "electricity", "run": "arn:…:train-7f", "cause": "…", "run_name": "train-7f", …}}

A machine puts an event by its class, a rule matches it by its class; nobody writes a detail type by hand.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from millrace.messages.envelope import Message, Moment
from millrace.messages.execution import Unwanted
from millrace.messages.ingest import Committed, RejectedDrop
from millrace.messages.retrain import RetrainingEvidence, RetrainingReason, RetrainingTrigger
from millrace.messages.score import Delivered
from millrace.messages.train import BudgetRefusal, TrainingReason

SOURCE = "millrace"


class BusEvent(Message):
    """The detail of every event of ours."""

    detail_type: ClassVar[str]

    workload: str
    run: str
    """ARN of the execution, or of the function on a schedule, that put the event."""
    cause: str
    """The cause of that execution."""


class DatasetCommitted(BusEvent, Committed):
    """A drop's rows are in a table."""

    detail_type = "dataset.committed"


class DropRejected(BusEvent, RejectedDrop):
    """A drop could not become rows at all; it is quarantined whole."""

    detail_type = "drop.rejected"


class DataLate(BusEvent):
    """Rows are older than the contract allows, or the labels of decisions are overdue; `run` is the function's ARN."""

    detail_type = "data.late"

    of: Literal["rows", "labels"]
    newest: Moment | None
    """Event time of the newest row or label."""
    allowed_hours: float


class TrainingRefused(BusEvent):
    """A training did not start."""

    detail_type = "training.refused"

    reason: BudgetRefusal
    projected_usd: float
    monthly_usd: float


class ModelJudged(BusEvent):
    """What both verdicts of the gates carry."""

    run_name: str
    """The train execution's name."""
    reason: TrainingReason
    gates: tuple[str, ...]
    """One sentence per gate."""


class ModelRefused(ModelJudged):
    """A gate refused the model."""

    detail_type = "model.refused"


class ModelRegistered(ModelJudged):
    """The model passed every gate and is a version of the registry."""

    detail_type = "model.registered"

    package_arn: str
    version: str


class ModelReleased(BusEvent):
    """A version is live."""

    detail_type = "model.released"

    package_arn: str
    version: str
    previous_version: str


class ReleaseRefused(BusEvent):
    """A version was evaluated beside another one than the live one, which is `previous_version`."""

    detail_type = "release.refused"

    package_arn: str
    version: str
    previous_version: str
    refusal: str
    """What is wrong and what to do, for a person."""


class ReleaseUntidy(BusEvent):
    """A version is live, and what older ones have left could not be deleted."""

    detail_type = "release.untidy"

    error: str


class EndpointOrphaned(BusEvent):
    """The live endpoint serves a version that the state table does not name; `run` is the function's ARN."""

    detail_type = "endpoint.orphaned"

    endpoint: str


class RunUnheard(BusEvent):
    """An execution did not end well, and Step Functions' event of that never came; `run` is the function's ARN."""

    detail_type = "run.unheard"

    name: str
    """Of the execution."""
    machine: str
    """ARN of its state machine."""
    status: Unwanted
    ended: Moment


class RetrainRequested(BusEvent):
    """Alarms were in ALARM before a monitor run and still are: no change of state starts `retrain`, this event does."""

    detail_type = "retrain.requested"

    alarms: tuple[str, ...]


class RetrainDecision(BusEvent):
    """What both decisions of the guard carry."""

    reason: RetrainingReason
    trigger: RetrainingTrigger
    sentence: str
    earliest_next: Moment | None
    evidence: RetrainingEvidence


class RetrainAccepted(RetrainDecision):
    """The guard let a retraining start."""

    detail_type = "retrain.accepted"


class RetrainRefused(RetrainDecision):
    """The guard refused a retraining."""

    detail_type = "retrain.refused"


class ScoresDelivered(BusEvent, Delivered):
    """The predictions of a scoring drop are in the lake."""

    detail_type = "scores.delivered"


EVENTS: dict[str, type[BusEvent]] = {
    event.detail_type: event
    for event in (
        DatasetCommitted,
        DropRejected,
        DataLate,
        TrainingRefused,
        ModelRefused,
        ModelRegistered,
        ModelReleased,
        ReleaseRefused,
        ReleaseUntidy,
        EndpointOrphaned,
        RunUnheard,
        RetrainRequested,
        RetrainAccepted,
        RetrainRefused,
        ScoresDelivered,
    )
}
"""By detail type."""
