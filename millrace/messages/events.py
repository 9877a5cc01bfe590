"""The events of the stage's own bus: one class for each detail, and the catalogue of all of them.

    {"source": "millrace", "detail-type": "model.refused",
     "detail": {"workload": "electricity", "run": "arn:…:train-7f", "cause": "…", "run_name": "train-7f", …}}

A machine puts an event by its class, and a rule matches the event by the same class. No detail type is written by hand.
Many classes take their fields from the message of a step: `DatasetCommitted` is a `BusEvent` and a `Committed`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from millrace.messages.envelope import Message, Moment
from millrace.messages.execution import Unwanted
from millrace.messages.ingest import Committed, OfDrop, RejectedDrop
from millrace.messages.retrain import RetrainingGrounds
from millrace.messages.score import Delivered
from millrace.messages.train import BudgetRefusal, TrainingReason

SOURCE = "millrace"
EVENTS: dict[str, type[BusEvent]] = {}
"""The class of each event, by detail type."""


class BusEvent(Message):
    """The fields that the detail of every event has."""

    detail_type: ClassVar[str]

    def __init_subclass__(cls, detail_type: str = "", **config: Any) -> None:
        super().__init_subclass__(**config)
        if detail_type:  # else it has fields that several events share
            cls.detail_type = detail_type
            EVENTS[detail_type] = cls

    workload: str
    run: str
    """The ARN of the execution that put the event, or of the function if a function on a schedule put it."""
    cause: str
    """The `cause` of that execution or call."""


class DatasetCommitted(BusEvent, Committed, detail_type="dataset.committed"):
    """A drop's rows are in a table."""


class DropRejected(BusEvent, RejectedDrop, detail_type="drop.rejected"):
    """A drop could not become rows at all. It is quarantined whole."""


class SchemaDrifted(BusEvent, OfDrop, detail_type="schema.drifted"):
    """A drop has columns that the contract does not know, or lacks some."""

    owner: str
    columns: str
    """Those that differ: `missing: 'price'; unknown: 'prix'`."""
    rejected: bool
    """Whether the whole drop was rejected. If not, rows with other columns were quarantined."""


class DataLate(BusEvent, detail_type="data.late"):
    """Rows are older than the contract allows, or the labels of decisions are overdue.

    `run` is the ARN of the function `lateness`."""

    of: Literal["rows", "labels"]
    newest: Moment | Literal["none"]
    """The event time of the newest row or label, if there is one."""
    allowed_hours: float
    owner: str
    """Who answers for the rows or the labels that come in."""


class TrainingRefused(BusEvent, detail_type="training.refused"):
    """A training did not start."""

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


class ModelRefused(ModelJudged, detail_type="model.refused"):
    """A gate refused the model."""

    advice: str = ""
    """The step that may help, with its command; empty if none is known."""


class VersionEvent(BusEvent):
    """The fields of every event of one version of the registry."""

    package_arn: str
    version: str


class ModelRegistered(ModelJudged, VersionEvent, detail_type="model.registered"):
    """The model passed every gate and is a version of the registry."""


class ModelReleased(VersionEvent, detail_type="model.released"):
    """A version is live."""

    previous_version: str
    watched_requests: int
    """Requests to its fleet while the release's alarms watched it."""


class ApprovalWanted(VersionEvent, detail_type="approval.wanted"):
    """A version has passed its gates and waits for a person."""

    approval_hours: float
    """After so many hours it is refused."""


class ReleaseRefused(VersionEvent, detail_type="release.refused"):
    """A version is not released: a person has refused it, or it was compared with another version than the live one."""

    previous_version: str
    """The live version, which stays live."""
    refusal: str
    """What is wrong and what to do, for a person."""


class ReleaseUntidy(BusEvent, detail_type="release.untidy"):
    """A version is live, but models and configurations of older versions could not be deleted."""

    error: str
    """What SageMaker said."""


class EndpointOrphaned(BusEvent, detail_type="endpoint.orphaned"):
    """The live endpoint serves a version that the state table does not name. `run` is the ARN of the sweep."""

    endpoint: str
    """The endpoint's name."""


class AlarmUnanswered(BusEvent, detail_type="alarm.unanswered"):
    """An alarm is raised for long, and nobody has acted on it. `run` is the ARN of the sweep."""

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


class RunUnheard(BusEvent, detail_type="run.unheard"):
    """An execution did not end well, and Step Functions' event of it never came. `run` is the ARN of the sweep."""

    name: str
    """The name of the execution that ended."""
    machine: str
    """The ARN of its state machine."""
    status: Unwanted
    ended: Moment
    """When it ended."""


class RetrainRequested(BusEvent, detail_type="retrain.requested"):
    """Alarms were in ALARM before a monitor run and still are.

    CloudWatch reports changes of state only, so its event does not start `retrain` again. This event does."""

    alarms: tuple[str, ...]
    """The names of the alarms."""


class RetrainDecision(BusEvent, RetrainingGrounds):
    """The fields that both decisions of the guard have: accepted and refused."""


class RetrainAccepted(RetrainDecision, detail_type="retrain.accepted"):
    """The guard let a retraining start."""


class RetrainRefused(RetrainDecision, detail_type="retrain.refused"):
    """The guard refused a retraining."""


class ScoresDelivered(BusEvent, Delivered, detail_type="scores.delivered"):
    """The predictions of a scoring drop are in the lake."""


class JobEnded(BusEvent):
    """The fields of both ends of a job. `run` is the ARN of the function, `cause` the job's id."""

    job: str
    """The id that its caller got."""
    uri: str
    """The result in the lake."""


class JobDone(JobEnded, detail_type="job.done"):
    """A caller's job has its result."""


class JobFailed(JobEnded, detail_type="job.failed"):
    """Nobody could answer a caller's job."""

    error: str
