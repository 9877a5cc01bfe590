"""The events of the stage's own bus: one class for each detail, and the catalogue of all of them.

    {"source": "millrace", "detail-type": "model.refused",
     "detail": {"workload": "electricity", "run": "arn:…:train-7f", "cause": "…", "run_name": "train-7f", …}}

A machine puts an event by its class, and a rule matches the event by the same class. No detail type is written by hand.
Many classes take their fields from the message of a step: `DatasetCommitted` is a `BusEvent` and a `Committed`.
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
    """The fields that the detail of every event has."""

    detail_type: ClassVar[str]

    workload: str
    run: str
    """The ARN of the execution that put the event, or of the function if a function on a schedule put it."""
    cause: str
    """The `cause` of that execution or call."""


class DatasetCommitted(BusEvent, Committed):
    """A drop's rows are in a table."""

    detail_type = "dataset.committed"


class DropRejected(BusEvent, RejectedDrop):
    """A drop could not become rows at all. It is quarantined whole."""

    detail_type = "drop.rejected"


class DataLate(BusEvent):
    """Rows are older than the contract allows, or the labels of decisions are overdue.

    `run` is the ARN of the function `lateness`."""

    detail_type = "data.late"

    of: Literal["rows", "labels"]
    newest: Moment | None
    """The event time of the newest row or label. None if there is none."""
    allowed_hours: float


class TrainingRefused(BusEvent):
    """A training did not start."""

    detail_type = "training.refused"

    reason: BudgetRefusal
    projected_usd: float
    """The most that the training may cost, in US dollars."""
    monthly_usd: float
    """The month's budget, in US dollars."""
    corrected: int
    """Rows with another label than when the live version was trained."""
    labelled: int
    """Rows that had a label then."""


class ModelJudged(BusEvent):
    """The fields that both verdicts on a model have: refused and registered."""

    run_name: str
    """The name of the train execution."""
    reason: TrainingReason
    """Why the model was trained."""
    gates: tuple[str, ...]
    """One sentence for each gate: `passed: size: model.tar.gz is 0.050 MB; at most 10.0 MB allowed`."""


class ModelRefused(ModelJudged):
    """A gate refused the model."""

    detail_type = "model.refused"

    advice: str = ""
    """The step that may help, with its command; empty if none is known."""


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
    watched_requests: int
    """Requests to its fleet while the release's alarms watched it."""


class ApprovalWanted(BusEvent):
    """A version has passed its gates and waits for a person."""

    detail_type = "approval.wanted"

    package_arn: str
    version: str
    approval_hours: float
    """After so many hours it is refused."""


class ReleaseRefused(BusEvent):
    """A version is not released: a person has refused it, or it was compared with another version than the live one."""

    detail_type = "release.refused"

    package_arn: str
    version: str
    previous_version: str
    """The live version, which stays live."""
    refusal: str
    """What is wrong and what to do, for a person."""


class ReleaseUntidy(BusEvent):
    """A version is live, but models and configurations of older versions could not be deleted."""

    detail_type = "release.untidy"

    error: str
    """The error of the function `tidy_release`."""


class EndpointOrphaned(BusEvent):
    """The live endpoint serves a version that the state table does not name. `run` is the ARN of the sweep."""

    detail_type = "endpoint.orphaned"

    endpoint: str
    """The endpoint's name."""


class EndpointWanted(BusEvent):
    """The live endpoint was stopped since nobody asked it, and now a request or a schedule asks for it.

    `run` is the ARN of the function that found it so."""

    detail_type = "endpoint.wanted"

    endpoint: str
    """The endpoint's name."""


class AlarmUnanswered(BusEvent):
    """An alarm is raised for long, and nobody has acted on it. `run` is the ARN of the sweep."""

    detail_type = "alarm.unanswered"

    alarm: str
    """The name without the workload's prefix."""
    since: Moment
    hours: int
    """For how long it has been raised."""
    reminder: int
    """The number of this reminder, from 1."""
    urgency: Literal["reminder", "escalation"]
    """`escalation` from the third reminder on."""
    owner: str
    """The workload's owner."""
    runbook: str
    """Where it is written what to do."""


class RunUnheard(BusEvent):
    """An execution did not end well, and Step Functions' event of it never came. `run` is the ARN of the sweep."""

    detail_type = "run.unheard"

    name: str
    """The name of the execution that ended."""
    machine: str
    """The ARN of its state machine."""
    status: Unwanted
    ended: Moment
    """When it ended."""


class RetrainRequested(BusEvent):
    """Alarms were in ALARM before a monitor run and still are.

    CloudWatch reports changes of state only, so its event does not start `retrain` again. This event does."""

    detail_type = "retrain.requested"

    alarms: tuple[str, ...]
    """The names of the alarms."""


class RetrainDecision(BusEvent):
    """The fields that both decisions of the guard have: accepted and refused. They are those of `RetrainingDecided`."""

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


class JobEnded(BusEvent):
    """The fields of both ends of a job. `run` is the ARN of the function, `cause` the job's id."""

    job: str
    """The id that its caller got."""
    uri: str
    """The result in the lake."""


class JobDone(JobEnded):
    """A caller's job has its result."""

    detail_type = "job.done"


class JobFailed(JobEnded):
    """Nobody could answer a caller's job."""

    detail_type = "job.failed"

    error: str


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
        ApprovalWanted,
        ReleaseRefused,
        ReleaseUntidy,
        EndpointOrphaned,
        EndpointWanted,
        AlarmUnanswered,
        RunUnheard,
        RetrainRequested,
        RetrainAccepted,
        RetrainRefused,
        ScoresDelivered,
        JobDone,
        JobFailed,
    )
}
"""The class of each event, by detail type."""
