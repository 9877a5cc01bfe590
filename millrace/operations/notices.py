"""Notices: events that are sent to the topic of alarms, and so to people, as they happen.

A notice costs nothing while nothing happens; an alarm costs by the month. To add one, add a line in `NOTICES` and a
section of the same name in docs/runbooks.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from millrace.messages.events import (
    SOURCE,
    AlarmUnanswered,
    ApprovalWanted,
    BusEvent,
    DataLate,
    DatasetCommitted,
    DropRejected,
    EndpointOrphaned,
    ModelRefused,
    ReleaseRefused,
    ReleaseUntidy,
    RetrainRefused,
    RunUnheard,
    TrainingRefused,
)
from millrace.messages.execution import UNWANTED
from millrace.messages.retrain import RetrainingReason
from millrace.messages.train import BudgetRefusal
from millrace.names import Platform
from millrace.operations.alarms import Severity, runbook

RAISED = "raised-alarm"
"""The name, as `Platform.rule` takes it, of the rule that tells of a raised alarm."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A kind of event, and the sentence that is sent for it."""

    severity: Severity
    description: str
    pattern: Callable[[Platform], dict[str, Any]]
    """The event pattern of the rule."""
    is_ours: bool
    """Whether the event is on the stage's own bus. If not, it is on the account's default bus."""
    paths: Mapping[str, str]
    """The place of each word of the sentence in the event: {"status": "$.detail.status"}."""
    sentence: str
    """One line with `<word>` for each of `paths`: `<status>: run <run> of <machine>. …`"""

    def line(self, name: str) -> str:
        """The sentence with the severity and the runbook of the notice `name`."""
        return f"{self.sentence} ({self.severity}; {runbook(name)})"


def _ours(
    *kinds: type[BusEvent],
    severity: Severity = "look",
    description: str,
    sentence: str,
    only: Mapping[str, Any] | None = None,
    **renamed: str,
) -> Notice:
    """The notice of events of the stage's own bus.

    `only` limits it to events with these values in their detail. A `<word>` of the sentence is a field of the detail,
    by its own name or as it is `renamed`. Raises ValueError if one of the events has no such field."""
    fields = {word: renamed.get(word, word) for word in re.findall(r"<(\w+)>", sentence)}
    for one in kinds:
        if unknown := sorted({*fields.values(), *(only or {})} - one.model_fields.keys()):
            raise ValueError(f"{one.detail_type}: expected fields among {sorted(one.model_fields)}, got {unknown}")
    detail = {"detail": only} if only else {}
    return Notice(
        severity=severity,
        description=description,
        pattern=lambda _: {"source": [SOURCE], "detail-type": [one.detail_type for one in kinds], **detail},
        is_ours=True,
        paths={word: f"$.detail.{field}" for word, field in fields.items()},
        sentence=sentence,
    )


def _late(of: str, description: str, *, look: str) -> Notice:
    sentence = f"LATE: {of} of <workload>, newest: <newest>, allowed: <hours> hours, owner: <owner>. "
    sentence += f"Look: millrace {look} --workload <workload>"
    return _ours(DataLate, only={"of": [of]}, description=description, sentence=sentence, hours="allowed_hours")


NOTICES: dict[str, Notice] = {
    # AWS delivers this event as best effort: https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html
    # Alarms would cost 2.10 USD a month for a workload: Step Functions has 21 metrics, one by machine and status.
    "failed-run": Notice(
        severity="act",
        description="a run failed, timed out or was stopped",
        pattern=lambda names: {
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {
                "stateMachineArn": [{"prefix": names.arn("states", f"stateMachine:{names.prefix}-")}],
                "status": [*UNWANTED],
            },
        },
        is_ours=False,
        paths={"run": "$.detail.name", "machine": "$.detail.stateMachineArn", "status": "$.detail.status"},
        sentence="<status>: run <run> of <machine>. Look: millrace show <run>",
    ),
    "unheard-run": _ours(
        RunUnheard,
        severity="act",
        description="a run failed, timed out or was stopped, and AWS's event of it never came",
        sentence="<status>: run <name> of <machine>, at <ended>; AWS has not told it. "
        "Look: millrace show <name> --workload <workload>",
    ),
    # The guard refuses a retraining; any other training is refused by its own function `budget`.
    "spent-budget": _ours(
        TrainingRefused,
        RetrainRefused,
        only={"reason": [BudgetRefusal.BUDGET.value, RetrainingReason.BUDGET.value]},
        description="the month's training budget has no room for a training; it did not start",
        sentence="NOT TRAINED: <workload>, its month's budget has no room for a training. "
        "Look: millrace cost --workload <workload>",
    ),
    "held-training": _ours(
        TrainingRefused,
        only={"reason": [BudgetRefusal.CORRECTIONS.value]},
        description="more labels are corrected than the workload allows; the training did not start",
        sentence="HELD: a training of <workload>, <corrected> of <labelled> labels are corrected. "
        "Look: millrace runs --machine train --workload <workload>",
    ),
    "rejected-drop": _ours(
        DropRejected,
        description="a drop could not become rows; it is quarantined whole",
        sentence="REJECTED: drop <key> of <workload>, reason <reason>, owner: <owner>. "
        "Look: millrace quarantine --workload <workload>",
        key="source",
    ),
    "held-drop": _ours(
        DatasetCommitted,
        only={"held": ["held"]},
        description="a drop breaks a rule of the contract on drops, or its labels do not fit; a person decides on it",
        sentence="HELD: <feed> of <workload>, sent by <sender>, owner: <owner>, <because>. "
        "Look: millrace held --workload <workload>",
        because="held_for",
        sender="sent_by",
    ),
    "late-data": _late("rows", "the newest row is older than the contract allows", look="runs --machine ingest"),
    "late-labels": _late("labels", "decisions wait for labels longer than the workload allows", look="monitor"),
    "orphaned-endpoint": _ours(
        EndpointOrphaned,
        severity="act",
        description="the live endpoint serves a version that the state table does not name",
        sentence="ORPHANED: endpoint <endpoint> of <workload>, the state table names no live version; it stays. "
        "Look: millrace versions --workload <workload>",
    ),
    "unanswered-alarm": _ours(
        AlarmUnanswered,
        only={"urgency": ["reminder"]},
        description="an alarm is raised for long, and nobody has acted on it",
        sentence="STILL RAISED: alarm <alarm> of <workload>, for <hours> hours. Look: <runbook>",
    ),
    "escalated-alarm": _ours(
        AlarmUnanswered,
        severity="act",
        only={"urgency": ["escalation"]},
        description="an alarm is raised for very long: its owner is called, until somebody acts or acknowledges it",
        sentence="ESCALATED to <owner>: alarm <alarm> of <workload> is raised for <hours> hours, reminder <reminder>. "
        'Look: <runbook>, then millrace alarms --acknowledge <alarm> --workload <workload> --reason "..."',
    ),
    "refused-model": _ours(
        ModelRefused,
        description="a gate refused a trained model; the live version stays",
        sentence="REFUSED: a model of <workload>, trained by <reason>; who is live stays. "
        "Look: millrace versions --workload <workload>. <advice>",
    ),
    "wanted-approval": _ours(
        ApprovalWanted,
        description="a version has passed its gates and waits for a person",
        sentence="APPROVE OR REFUSE: version <version> of <workload>, within <hours> hours. "
        'Look: millrace card <version> --workload <workload>, then millrace approve <version> --reason "..."',
        hours="approval_hours",
    ),
    "refused-release": _ours(
        ReleaseRefused,
        description="a version is not released: a person refused it, or another one is live than it was compared with",
        sentence="NOT RELEASED: version <version> of <workload>, <refusal>. "
        "Look: millrace versions --workload <workload>",
    ),
    "untidy-release": _ours(
        ReleaseUntidy,
        description="a version is live, and what older ones have left could not be deleted",
        sentence="UNTIDY: a release of <workload> is live and has not deleted what older ones left, <error>. "
        "Look: millrace show <run>",
    ),
}
"""The notices, by the name of their rule as `Platform.rule` takes it."""
