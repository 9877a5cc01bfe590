"""A record of each event as a row for people."""

from __future__ import annotations

import pytest

from console.presenters.audit_records import SENTENCES, record_rows, sentence
from millrace.messages.audit import (
    AuditEvent,
    ReleaseFailed,
    ResourcesRemoved,
    RowsWithdrawn,
    VersionLive,
    VersionRolledBack,
)
from millrace.messages.envelope import Message
from millrace.messages.retrain import RetrainingDecided, RetrainingEvidence
from millrace.messages.train import Corrections, GatesJudged, GateVerdict
from millrace.state.audit import Record
from millrace.timestamps import parse_utc
from tests.console.conftest import NAMES

AT = parse_utc("1997-06-01T06:00:00Z")
SIZE = GateVerdict(name="size", passed=True, measured=0.05, bound=10.0, sentence="small enough")
WARNED = SIZE.model_copy(update={"name": "simple", "is_warning": True, "sentence": "a line is better"})
REFUSED = GateVerdict(
    name="calibration", passed=False, measured=0.08, bound=0.05, sentence="off", figure="expected calibration error"
)
EVIDENCE = RetrainingEvidence(
    as_of=AT, last_started_at=None, new_labels=0, runs_this_month=0, spent_usd=0.0, projected_usd=0.62
)
PERSON = "arn:aws:sts::123456789012:assumed-role/Operators/ann"
ROLLED_BACK = VersionRolledBack(
    version="1", revision=4, watched_requests=0, by=PERSON, reason="complaints", replaced="2"
)
WITHDRAWN = RowsWithdrawn(by=PERSON, reason="a typing error", key={"id": 7}, drop="", rows=1, labels=0)


def record(event: AuditEvent, details: Message, *, arn: str = NAMES.execution_arn("release", "f7c1b2f0e93a")) -> Record:
    return Record(actor="a_function", execution_arn=arn, event=event, as_of=AT, cause="console", details=details)


def retraining(accepted: bool, sentence: str, earliest: str | None = None) -> RetrainingDecided:
    decided = {"accepted": accepted, "reason": "accepted" if accepted else "cool_down", "trigger": "alarm"}
    return RetrainingDecided.model_validate(
        {**decided, "sentence": sentence, "earliest_next": earliest, "evidence": EVIDENCE}
    )


def removed(*found: str) -> ResourcesRemoved:
    return ResourcesRemoved(step="endpoints", found=found)


def failed(error: str | None, cause: str | None) -> ReleaseFailed:
    return ReleaseFailed(status="TIMED_OUT", error=error, cause=cause, input=None)


CASES = [
    (AuditEvent.MODEL_PASSED, GatesJudged(passed=True, verdicts=(SIZE,)), "passed one gate"),
    (
        AuditEvent.MODEL_PASSED,
        GatesJudged(passed=True, verdicts=(SIZE, WARNED)),
        "passed two gates; the gate simple warns: a line is better",
    ),
    (
        AuditEvent.MODEL_REFUSED,
        GatesJudged(passed=False, verdicts=(SIZE, REFUSED)),
        "calibration: expected calibration error 0.08 > 0.05",
    ),
    (AuditEvent.RELEASE_LIVE, VersionLive(version="2", revision=3, watched_requests=48), "version 2 is live"),
    (AuditEvent.RELEASE_ROLLED_BACK, ROLLED_BACK, "version 1 is live in place of version 2: complaints"),
    (AuditEvent.RELEASE_FAILED, failed("Smoke", '{"errorMessage": "no", "errorType": "X"}'), "timed_out, Smoke: X: no"),
    (AuditEvent.RELEASE_FAILED, failed(None, None), "timed_out"),
    (AuditEvent.RETRAIN_ACCEPTED, retraining(True, "48 labels"), "trigger alarm: 48 labels"),
    (
        AuditEvent.RETRAIN_REFUSED,
        retraining(False, "35 days of cool-down", "1997-06-19T00:02:00Z"),
        "trigger alarm: 35 days of cool-down; earliest 19 June 1997",
    ),
    (AuditEvent.TEARDOWN_STEP, removed("endpoint a", "alarm b"), "endpoints: endpoint a, alarm b"),
    (AuditEvent.TEARDOWN_STEP, removed("a", "b", "c", "d", "e"), "endpoints: a, b, c and 2 more"),
    (
        AuditEvent.LABELS_CORRECTED,
        Corrections(rows=96, labelled=96, share=1.0, moved=1.0, bound=0.05, is_held=True),
        "96 labels of 96 corrected (100.0%): held, at most 5.0% allowed",
    ),
    (AuditEvent.ROWS_WITHDRAWN, WITHDRAWN, "id 7: one row and no labels withdrawn: a typing error"),
]


@pytest.mark.parametrize(("event", "details", "expected"), CASES)
def test_the_details_are_a_sentence(event: AuditEvent, details: Message, expected: str) -> None:
    assert sentence(record(event, details)) == expected


def test_every_event_has_a_sentence() -> None:
    assert set(SENTENCES) == set(AuditEvent) == {event for event, _, _ in CASES}


def test_a_row_says_which_run_or_person() -> None:
    """A withdrawal has no run: a person's command calls its function."""
    called = "arn:aws:lambda:eu-west-1:123456789012:function:millrace-local-electricity-withdrawal:withdraw-5d7c39d7"
    rows = record_rows(
        [
            record(AuditEvent.ROWS_WITHDRAWN, WITHDRAWN, arn=called),
            record(AuditEvent.RELEASE_ROLLED_BACK, ROLLED_BACK),
            record(AuditEvent.TEARDOWN_STEP, removed("a"), arn=NAMES.execution_arn("teardown", "f7c1b2f0d")),
        ]
    )
    assert [(row["run"], row["who"]) for row in rows] == [
        ("", "assumed-role/Operators/ann"),
        ("f7c1b2f0e", "assumed-role/Operators/ann"),
        ("f7c1b2f0d", ""),
    ]
    assert rows[0] == {
        "as_of": AT,
        "event": "rows.withdrawn",
        "function": "a_function",
        "run": "",
        "who": "assumed-role/Operators/ann",
        "details": "id 7: one row and no labels withdrawn: a typing error",
    }
