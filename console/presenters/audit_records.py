"""The records of the audit as rows of a table: who decided what, and the details in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from millrace.console.presenters.gates import compared
from millrace.console.presenters.train import extent, warnings_of
from millrace.console.queries.executions import failure_of
from millrace.console.queries.runs import short_name
from millrace.console.words import count, day, first_few
from millrace.messages.audit import (
    AuditEvent,
    AutomationMoved,
    FloorMoved,
    ReleaseFailed,
    RowsWithdrawn,
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
            # As IAM names the person, without the account: `user/operator`.
            "who": str(getattr(one.details, "by", "")).rpartition(":")[2],
            "details": sentence(one),
        }
        for one in records
    ]


def sentence(record: Record) -> str:
    """The details for people: `calibration: expected calibration error 0.08 > 0.05`."""
    said = SENTENCES[record.event]
    text = said.format(record.details) if isinstance(said, str) else said(record.details)
    return f"{text}no reason given" if not text or text.endswith(": ") else text


def _has_run(record: Record) -> bool:
    """Whether an execution called the function. A withdrawal is called by a person's command."""
    return ":execution:" in record.execution_arn


def _passed(judged: GatesJudged) -> str:
    return "; ".join(filter(None, (f"passed {count(len(judged.verdicts), 'gate')}", warnings_of(judged))))


def _release_failed(details: ReleaseFailed) -> str:
    return ", ".join(filter(None, (details.status.lower(), failure_of(details.error or "", details.cause or ""))))


def _retraining(details: RetrainingDecided) -> str:
    until = f"; earliest {day(details.earliest_next)}" if details.earliest_next else ""
    return f"trigger {details.trigger}: {details.sentence}{until}"


def _withdrawn(details: RowsWithdrawn) -> str:
    gone = f"{count(details.rows, 'row')} and {count(details.labels, 'label')}"
    again = f", {count(details.relabelled, 'row')} with the earlier label again" if details.relabelled else ""
    return f"{details.drop}: {gone} withdrawn{again}: {details.reason}"


def _corrected(details: Corrections) -> str:
    held = f": held, at most {details.bound:.1%} allowed" if details.is_held else ""
    return f"{count(details.rows, 'label')} of {details.labelled:,} corrected ({extent(details)}){held}"


def _moved(details: AutomationMoved) -> str:
    came = f"{details.wrong:g} of {details.acted:,} that acted were wrong" if details.acted else "none acted"
    return (
        f"version {details.version}: answers act from confidence {details.threshold:.4f}, before {details.before:.4f}: "
        f"{came}, {details.promised_error:.1%} promised"
    )


def _floor(details: FloorMoved) -> str:
    now = "the naive rule answers instead" if details.below else "it answers again"
    figures = f"{details.own:.4f} against {details.rule:.4f} of the rule on {details.labels:,} labels"
    if not details.labels:
        figures = "an alarm, and no labels that decide" if details.below else "the alarm is over"
    return f"version {details.version}: {now}: {figures}"


DECIDED = "version {0.version}: {0.reason}"
LEFT_PHASE = (
    "version {0.version}, {0.phase}: {0.because}; {0.differing:,} of {0.pairs:,} answers differed from version "
    "{0.champion}'s"
)
SENTENCES: Mapping[AuditEvent, str | Callable[[Any], str]] = {
    AuditEvent.MODEL_PASSED: _passed,
    AuditEvent.MODEL_REFUSED: lambda of: "; ".join(f"{one.name}: {compared(one)}" for one in of.refusals),
    AuditEvent.RELEASE_APPROVED: DECIDED,
    AuditEvent.RELEASE_REFUSED: DECIDED,
    AuditEvent.PHASE_PASSED: LEFT_PHASE,
    AuditEvent.PHASE_STOPPED: LEFT_PHASE,
    AuditEvent.RELEASE_LIVE: "version {0.version} is live",
    AuditEvent.RELEASE_ROLLED_BACK: "version {0.version} is live in place of version {0.replaced}: {0.reason}",
    AuditEvent.RELEASE_FAILED: _release_failed,
    AuditEvent.RETRAIN_ACCEPTED: _retraining,
    AuditEvent.RETRAIN_REFUSED: _retraining,
    AuditEvent.TEARDOWN_STEP: lambda of: f"{of.step}: {first_few(of.found, MOST_NAMED)}",
    AuditEvent.ROWS_WITHDRAWN: _withdrawn,
    AuditEvent.ROWS_ERASED: lambda of: f"{sum(one.removed for one in of.stores)} of {of.people}: {of.reason}",
    AuditEvent.ROWS_REWRITTEN: lambda of: f"{', '.join(f'{one.rows:,} {one.table}' for one in of.tables)}: {of.reason}",
    AuditEvent.LABELS_CORRECTED: _corrected,
    **dict.fromkeys(
        (AuditEvent(f"{table}.{status}") for table in ("rows", "labels") for status in ("accepted", "refused")),
        lambda of: f"{count(of.rows, 'row')} of {of.drop}: {of.reason}",
    ),
    AuditEvent.AUTOMATION_PAUSED: "{0.reason}",
    AuditEvent.AUTOMATION_RESUMED: "{0.reason}",
    AuditEvent.AUTOMATION_MOVED: _moved,
    AuditEvent.REVIEW_ANSWERED: "{0.decision}: {0.value}, after {0.seconds:.0f} s",
    AuditEvent.REVIEW_UNDONE: "{0.decision}: {0.value} taken back",
    AuditEvent.REVIEW_ESCALATED: "{0.decision}: {0.note}",
    AuditEvent.REVIEW_UNANSWERED: "{0.decision}: nobody has answered in time",
    AuditEvent.FLOOR_ON: _floor,
    AuditEvent.FLOOR_OFF: _floor,
    AuditEvent.ALARM_ACKNOWLEDGED: "alarm {0.alarm}: {0.reason}",
    AuditEvent.RUN_REDRIVEN: "{0.machine} {0.run:.8} goes on: {0.reason}",
    AuditEvent.INCIDENT_OPENED: lambda of: f"{of.incident:.8}{', serious' if of.is_serious else ''}: {of.reason}",
    AuditEvent.INCIDENT_CLOSED: "{0.incident:.8}: {0.reason}",
    AuditEvent.FILE_DROPPED: "{0.drop} of {0.size:,} bytes: {0.reason}",
}
"""By event: the sentence on details of the class of the event's details."""
