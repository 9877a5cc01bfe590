"""Which policy a decision is judged by again: what the audit says of the time at which it was made."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millrace.console.queries.decisions import acting_then
from millrace.messages.audit import AuditEvent, AutomationMoved, AutomationSwitched, FloorMoved
from millrace.messages.envelope import Message
from millrace.release.registry import Package
from millrace.state.audit import Record
from millrace.workload.policy import Automate, Policy
from tests.console.queries.test_replay import DECISION

DAY, START = timedelta(days=1), datetime(1997, 6, 1, tzinfo=UTC)
POLICY = Policy(automate=Automate(promised_error=0.05))
PACKAGE = Package(
    arn="a",
    version="2",
    image="i",
    model_data_url="s3://b/m",
    approval="Approved",
    decided_at=START,
    changed_by="",
    said="",
    metadata={"run": "r", "promised_error": "0.05", "automate_from": "0.8"},
)


def record(day: float, event: AuditEvent, details: Message) -> Record:
    return Record(actor="x", execution_arn="arn", event=event, as_of=START + day * DAY, cause="", details=details)


def moved(version: str, threshold: float) -> AutomationMoved:
    return AutomationMoved(
        version=version, promised_error=0.05, threshold=threshold, before=0.8, learnt=1, acted=1, wrong=0
    )


def floor(below: bool) -> FloorMoved:
    return FloorMoved(version="2", below=below, before=not below, labels=96, own=0.3, rule=0.2)


SWITCH = AutomationSwitched(by="ann", reason="")
RECORDS = [
    record(1, AuditEvent.AUTOMATION_MOVED, moved("1", 0.99)),
    record(2, AuditEvent.AUTOMATION_MOVED, moved("2", 0.85)),
    record(3, AuditEvent.FLOOR_ON, floor(True)),
    record(4, AuditEvent.AUTOMATION_PAUSED, SWITCH),
    record(5, AuditEvent.FLOOR_OFF, floor(False)),
    record(6, AuditEvent.AUTOMATION_RESUMED, SWITCH),
    record(7, AuditEvent.AUTOMATION_MOVED, moved("2", 0.9)),
]


@pytest.mark.parametrize(
    ("day", "held"),
    [
        (1.5, (0.8, False, None)),
        (2.5, (0.85, False, None)),
        (3.5, (0.85, True, None)),
        (4.5, (0.85, True, "paused")),
        (5.5, (0.85, False, "paused")),
        (6.5, (0.85, False, None)),
        (7.5, (0.9, False, None)),
    ],
)
def test_what_held_is_what_was_recorded_until_then(day: float, held: Any) -> None:
    decision = replace(DECISION, inferred_at=START + day * DAY)
    found = acting_then(POLICY, PACKAGE, RECORDS, decision, secret="s")
    assert (found.threshold, found.below_floor, found.stopped) == held


def test_a_version_without_a_threshold_for_the_promise_has_none() -> None:
    """It was evaluated for a weaker promise than is declared."""
    weaker = replace(PACKAGE, metadata={**PACKAGE.metadata, "promised_error": "0.1"})
    decision = replace(DECISION, inferred_at=START)
    assert acting_then(POLICY, weaker, (), decision, secret="").threshold is None
    assert acting_then(POLICY, PACKAGE, (), decision, secret="").threshold == 0.8
