"""The records of the audit as rows of a table: who decided what, and the details in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from console.presenters.gates import compared
from console.presenters.train import extent, warnings_of
from console.queries.audit_records import what_of
from console.queries.failures import failure_of
from console.queries.runs import short_name
from console.words import count, day
from millrace.messages.audit import (
    AlarmAcknowledged,
    AuditEvent,
    AutomationMoved,
    AutomationSwitched,
    EndpointStarted,
    EndpointStopped,
    FloorMoved,
    HeldLabelsDecided,
    PhaseEnded,
    ReleaseFailed,
    ResourcesRemoved,
    ReviewAnswered,
    ReviewEscalated,
    ReviewUnanswered,
    RowsWithdrawn,
    VersionDecided,
    VersionLive,
    VersionRolledBack,
)
from millrace.messages.retrain import RetrainingDecided
from millrace.messages.train import Corrections, GatesJudged
from millrace.state.audit import Record

MOST_NAMED = 3
"""How many removed resources a sentence names."""


def record_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The records as rows. A run's name is as short as the names of these records allow."""
    runs = {one.run for one in records if _has_run(one)}
    return [
        {
            "as_of": one.as_of,
            "event": str(one.event),
            "function": one.actor,
            "run": short_name(one.run, runs - {one.run}) if _has_run(one) else "",
            "who": _who(one),
            "details": sentence(one),
        }
        for one in records
    ]


def sentence(record: Record) -> str:
    """The details for people: `calibration: expected calibration error 0.08 > 0.05`."""
    return SENTENCES[record.event](record.details)


def _has_run(record: Record) -> bool:
    """Whether an execution called the function. A withdrawal is called by a person's command."""
    return ":execution:" in record.execution_arn


def _who(record: Record) -> str:
    """The person, as IAM names them without the account: `user/operator`; empty if nobody is known."""
    by_person = (
        VersionDecided
        | VersionRolledBack
        | RowsWithdrawn
        | HeldLabelsDecided
        | AutomationSwitched
        | ReviewAnswered
        | ReviewEscalated
    )
    if isinstance(record.details, by_person):
        return record.details.by.rpartition(":")[2]
    return ""


def _passed(judged: GatesJudged) -> str:
    return "; ".join(filter(None, (f"passed {count(len(judged.verdicts), 'gate')}", warnings_of(judged))))


def _refused(judged: GatesJudged) -> str:
    return "; ".join(f"{one.name}: {compared(one)}" for one in judged.refusals)


def _live(details: VersionLive) -> str:
    return f"version {details.version} is live"


def _rolled_back(details: VersionRolledBack) -> str:
    return f"version {details.version} is live in place of version {details.replaced}: {details.reason}"


def _release_failed(details: ReleaseFailed) -> str:
    failure = failure_of(details.error or "", details.cause or "")
    return ", ".join(filter(None, (details.status.lower(), failure)))


def _retraining(details: RetrainingDecided) -> str:
    until = f"; earliest {day(details.earliest_next)}" if details.earliest_next else ""
    return f"trigger {details.trigger}: {details.sentence}{until}"


def _removed(details: ResourcesRemoved) -> str:
    left = len(details.found) - MOST_NAMED
    return f"{details.step}: {', '.join(details.found[:MOST_NAMED])}{f' and {left} more' if left > 0 else ''}"


def _withdrawn(details: RowsWithdrawn) -> str:
    gone = f"{count(details.rows, 'row')} and {count(details.labels, 'label')}"
    again = f", {count(details.relabelled, 'row')} with the earlier label again" if details.relabelled else ""
    return f"{what_of(details)}: {gone} withdrawn{again}: {details.reason}"


def _corrected(details: Corrections) -> str:
    held = f": held, at most {details.bound:.1%} allowed" if details.is_held else ""
    return f"{count(details.rows, 'label')} of {details.labelled:,} corrected ({extent(details)}){held}"


def _held_labels(details: HeldLabelsDecided) -> str:
    return f"{count(details.labels, 'label')} of {details.drop}: {details.reason}"


def _switched(details: AutomationSwitched) -> str:
    return details.reason or "no reason given"


def _moved(details: AutomationMoved) -> str:
    came = f"{details.wrong:g} of {details.acted:,} that acted were wrong" if details.acted else "none acted"
    return (
        f"version {details.version}: answers act from confidence {details.threshold:.4f}, before {details.before:.4f}: "
        f"{came}, {details.promised_error:.1%} promised"
    )


def _decided(details: VersionDecided) -> str:
    return f"version {details.version}: {details.reason}"


def _left_phase(details: PhaseEnded) -> str:
    seen = f"{details.differing:,} of {details.pairs:,} answers differed from version {details.champion}'s"
    return f"version {details.version}, {details.phase}: {details.because}; {seen}"


def _answered(details: ReviewAnswered) -> str:
    return f"{details.decision}: {details.value}, after {details.seconds:.0f} s"


def _undone(details: ReviewAnswered) -> str:
    return f"{details.decision}: {details.value} taken back"


def _escalated(details: ReviewEscalated) -> str:
    return f"{details.decision}: {details.note or 'no reason given'}"


def _unanswered(details: ReviewUnanswered) -> str:
    return f"{details.decision}: nobody has answered in time"


def _floor(details: FloorMoved) -> str:
    now = "the naive rule answers instead" if details.below else "it answers again"
    figures = f"{details.own:.4f} against {details.rule:.4f} of the rule on {details.labels:,} labels"
    if not details.labels:
        figures = "an alarm, and no labels that decide" if details.below else "the alarm is over"
    return f"version {details.version}: {now}: {figures}"


def _stopped(details: EndpointStopped) -> str:
    return f"version {details.version}: nobody asked; {details.instances} × {details.instance} stopped"


def _started(details: EndpointStarted) -> str:
    slept_h = (details.started_at - details.stopped_at).total_seconds() / 3600
    return f"version {details.version}: serves again after {slept_h:.1f} hours"


def _acknowledged(details: AlarmAcknowledged) -> str:
    return f"alarm {details.alarm}: {details.reason or 'no reason given'}"


SENTENCES: Mapping[AuditEvent, Callable[[Any], str]] = {
    AuditEvent.MODEL_PASSED: _passed,
    AuditEvent.MODEL_REFUSED: _refused,
    AuditEvent.RELEASE_APPROVED: _decided,
    AuditEvent.RELEASE_REFUSED: _decided,
    AuditEvent.PHASE_PASSED: _left_phase,
    AuditEvent.PHASE_STOPPED: _left_phase,
    AuditEvent.RELEASE_LIVE: _live,
    AuditEvent.RELEASE_ROLLED_BACK: _rolled_back,
    AuditEvent.RELEASE_FAILED: _release_failed,
    AuditEvent.RETRAIN_ACCEPTED: _retraining,
    AuditEvent.RETRAIN_REFUSED: _retraining,
    AuditEvent.TEARDOWN_STEP: _removed,
    AuditEvent.ROWS_WITHDRAWN: _withdrawn,
    AuditEvent.LABELS_CORRECTED: _corrected,
    AuditEvent.LABELS_ACCEPTED: _held_labels,
    AuditEvent.LABELS_REFUSED: _held_labels,
    AuditEvent.AUTOMATION_PAUSED: _switched,
    AuditEvent.AUTOMATION_RESUMED: _switched,
    AuditEvent.AUTOMATION_MOVED: _moved,
    AuditEvent.REVIEW_ANSWERED: _answered,
    AuditEvent.REVIEW_UNDONE: _undone,
    AuditEvent.REVIEW_ESCALATED: _escalated,
    AuditEvent.REVIEW_UNANSWERED: _unanswered,
    AuditEvent.FLOOR_ON: _floor,
    AuditEvent.FLOOR_OFF: _floor,
    AuditEvent.ENDPOINT_STOPPED: _stopped,
    AuditEvent.ENDPOINT_STARTED: _started,
    AuditEvent.ALARM_ACKNOWLEDGED: _acknowledged,
}
"""By event: makes a sentence of details of the class that DETAILS has for the event."""
