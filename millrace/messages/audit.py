"""The events of the audit table, and the details that a record of each event carries."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from millrace.messages.envelope import Message, Moment
from millrace.messages.execution import Unwanted
from millrace.messages.monitor import FloorReport, PromiseReport
from millrace.messages.retrain import RetrainingDecided
from millrace.messages.teardown import TeardownStep
from millrace.messages.train import Corrections, GatesJudged
from millrace.messages.upkeep import RewrittenTable
from millrace.messages.withdrawal import Erased, Withdrawn
from millrace.workload.rollout import Phase


class ByPerson(Message):
    """What a person has done."""

    by: str
    """Identity of the person."""
    reason: str
    """In the person's words; empty without any."""


class VersionDecided(ByPerson):
    """A version was approved, or was refused: by a person, or because nobody has approved it in time.

    {"by": "arn:aws:sts::123456789012:assumed-role/Leads/ann", "reason": "as good on our wards", "version": "2"}

    `by` is as SageMaker knows the person, or the sweep if nobody has approved it in time. The reason of a refusal may
    say what was wrong with an approval."""

    version: str


class PhaseEnded(Message):
    """A version has left a phase that watched it: it goes on, or its release ends here.

    {"version": "3", "champion": "2", "phase": "shadow", "because": "better by 61 labels", "pairs": 812, …}"""

    version: str
    champion: str
    """The live version that it was compared with."""
    phase: Phase
    because: str
    pairs: int
    """Rows that both had answered."""
    differing: int
    labels: int
    """Labels of pairs that differ, of those that were asked for; in the phase `assisted` people's answers."""
    since: Moment
    """When it came to the phase."""


class VersionLive(Message):
    """A version became the champion.

    {"version": "2", "revision": 3, "watched_requests": 48, "live_at": "1997-05-15T06:07:12Z",
     "endpoint_config": "millrace-dev-electricity-v2-1f0e4a-0-0-live"}"""

    version: str
    revision: int
    """The revision of the release pointers after the move."""
    watched_requests: int
    """Requests to the new fleet while the release's alarms watched it."""
    live_at: Moment
    """When the endpoint took its last change, as SageMaker says. The release may have begun weeks before."""
    endpoint_config: str
    """The configuration by which the endpoint serves it."""


class VersionRolledBack(VersionLive, ByPerson):
    """An earlier version became the champion again."""

    replaced: str
    """The version that was live before the rollback."""


class ReleaseFailed(Message):
    """A release failed, timed out or was stopped. The fields are those of the execution."""

    status: Unwanted
    error: str | None
    cause: str | None
    """Step Functions' cause of the error."""
    input: str | None
    """The input of the execution, as JSON."""


class ResourcesRemoved(Message):
    """What one step of a teardown removed or switched off.

    {"step": "endpoints", "found": ["endpoint millrace-dev-electricity"]}"""

    step: TeardownStep
    found: tuple[str, ...]
    """The kind and the name of each resource."""


class RowsWithdrawn(Withdrawn, ByPerson):
    """A person took rows out of the tables."""

    drop: str
    """As `WithdrawalRequest.drop`."""


class RowsErased(Erased, ByPerson):
    """A person had everything erased that the stage keeps of somebody."""

    @property
    def people(self) -> str:
        """The beginning of the first pseudonym, and how many others there are: `5d7c39d75d7c39d7 and 99 more`."""
        first, *others = self.pseudonyms or ("",)
        return first[:16] + (f" and {len(others)} more" if others else "")


class RowsRewritten(ByPerson):
    """A person had the rows of tables written anew in other types."""

    tables: tuple[RewrittenTable, ...]


class HeldDropDecided(ByPerson):
    """A person has let a drop into its table that was held, or has refused it."""

    drop: str
    """The landing key."""
    drop_id: str
    rows: int
    """New labels, or rows that keep the contract."""
    because: tuple[str, ...]
    """Why they were held."""


class AutomationSwitched(ByPerson):
    """A person stopped the automation of decisions, or let it go on."""


class AutomationMoved(PromiseReport):
    """Late labels have moved the least confidence with which answers act by themselves."""

    version: str
    """The version whose answers they are."""


class ReviewUnanswered(Message):
    """Nobody has decided within the hours of the policy."""

    decision: str
    """The decision's id."""
    reason: str
    """Why it waited for a person."""


class ReviewAnswered(ReviewUnanswered):
    """A person has decided in place of the model, or has taken that back before its label was dropped."""

    by: str
    """Identity of the person."""
    value: str
    """The label as JSON."""
    seconds: float
    """How long the person has looked at it."""
    source: str
    """With what it was given: `terminal`, `web`."""
    agrees: bool | None = None
    """Of a second opinion: whether it is the first one."""
    guideline: str = ""
    """The version of the guideline that the person saw; empty without one."""


class ReviewEscalated(ReviewUnanswered):
    """A person has passed a decision on to another one."""

    by: str
    """Identity of the person."""
    note: str
    """In the person's words."""


class FloorMoved(FloorReport):
    """Late labels have put the naive rule in place of the live version, or the version in its place again."""

    version: str


class AlarmAcknowledged(ByPerson):
    """A person has said that somebody acts on a raised alarm. Nobody is reminded of it any more until it is over."""

    alarm: str


class RunRedriven(ByPerson):
    """A person has let a failed run go on from the step that failed, from the console's page."""

    machine: str
    run: str


class FileDropped(ByPerson):
    """A person has put a file into a feed, from the console's page."""

    drop: str
    """Its landing key."""
    drop_id: str
    size: int
    """Bytes."""


class Incident(ByPerson):
    """A person has opened an incident, or closed it.

    {"incident": "7c1b2f0e-…", "version": "3", "is_serious": true, "by": "arn:…", "reason": "refuses all pensioners"}"""

    incident: str
    """Its id: the name of the run that recorded its beginning."""
    version: str
    """The live version at that time; empty without one."""
    is_serious: bool


class AuditEvent(StrEnum):
    """What was decided or done, and the class of a record's details of it."""

    details: type[Message]

    def __new__(cls, value: str, details: type[Message] = Message) -> Self:
        made = str.__new__(cls, value)
        made._value_, made.details = value, details
        return made

    MODEL_PASSED = "model.passed", GatesJudged
    MODEL_REFUSED = "model.refused", GatesJudged
    RELEASE_APPROVED = "release.approved", VersionDecided
    RELEASE_REFUSED = "release.refused", VersionDecided
    PHASE_PASSED = "phase.passed", PhaseEnded
    PHASE_STOPPED = "phase.stopped", PhaseEnded
    RELEASE_LIVE = "release.live", VersionLive
    RELEASE_ROLLED_BACK = "release.rolled_back", VersionRolledBack
    RELEASE_FAILED = "release.failed", ReleaseFailed
    RETRAIN_ACCEPTED = "retrain.accepted", RetrainingDecided
    RETRAIN_REFUSED = "retrain.refused", RetrainingDecided
    TEARDOWN_STEP = "teardown.step", ResourcesRemoved
    ROWS_WITHDRAWN = "rows.withdrawn", RowsWithdrawn
    ROWS_ERASED = "rows.erased", RowsErased
    ROWS_REWRITTEN = "rows.rewritten", RowsRewritten
    ROWS_ACCEPTED = "rows.accepted", HeldDropDecided
    ROWS_REFUSED = "rows.refused", HeldDropDecided
    LABELS_CORRECTED = "labels.corrected", Corrections
    LABELS_ACCEPTED = "labels.accepted", HeldDropDecided
    LABELS_REFUSED = "labels.refused", HeldDropDecided
    AUTOMATION_PAUSED = "automation.paused", AutomationSwitched
    AUTOMATION_RESUMED = "automation.resumed", AutomationSwitched
    AUTOMATION_MOVED = "automation.moved", AutomationMoved
    REVIEW_ANSWERED = "review.answered", ReviewAnswered
    REVIEW_UNDONE = "review.undone", ReviewAnswered
    REVIEW_ESCALATED = "review.escalated", ReviewEscalated
    REVIEW_UNANSWERED = "review.unanswered", ReviewUnanswered
    FLOOR_ON = "floor.on", FloorMoved
    FLOOR_OFF = "floor.off", FloorMoved
    ALARM_ACKNOWLEDGED = "alarm.acknowledged", AlarmAcknowledged
    RUN_REDRIVEN = "run.redriven", RunRedriven
    FILE_DROPPED = "file.dropped", FileDropped
    INCIDENT_OPENED = "incident.opened", Incident
    INCIDENT_CLOSED = "incident.closed", Incident
