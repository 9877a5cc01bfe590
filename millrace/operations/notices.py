"""The events that go to the topic of alarms as they happen: they cost nothing while nothing happens. Add one by a line
in `NOTICES` and a section of the same name in docs/runbooks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from millrace.messages.events import SOURCE, DataLate, DropRejected, EndpointOrphaned, ReleaseRefused, ReleaseUntidy
from millrace.names import Platform
from millrace.operations.alarms import Severity

WEBHOOK_RULE = "webhook-alarms"
"""The rule of a stage with a chat webhook that posts changes of alarms, as `Platform.rule` takes it."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """An event, and the sentence that is sent for it."""

    severity: Severity
    description: str
    pattern: Callable[[Platform], dict[str, Any]]
    is_ours: bool
    """Whether the event is on the stage's own bus; else it is on the account's default bus."""
    paths: Mapping[str, str]
    """By word of the sentence: where the event has it."""
    sentence: str
    """One line, with `<word>` for each of `paths`."""


NOTICES: dict[str, Notice] = {
    # Best effort, says AWS: https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html
    # The metrics of Step Functions are by machine and status: 21 a workload, 2.10 USD a month.
    "failed-run": Notice(
        severity="act",
        description="a run failed, timed out or was stopped",
        pattern=lambda names: {
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {
                "stateMachineArn": [{"prefix": names.arn("states", f"stateMachine:{names.prefix}-")}],
                "status": ["FAILED", "TIMED_OUT", "ABORTED"],
            },
        },
        is_ours=False,
        paths={"run": "$.detail.name", "machine": "$.detail.stateMachineArn", "status": "$.detail.status"},
        sentence="<status>: run <run> of <machine>. Look: millrace show <run>",
    ),
    "rejected-drop": Notice(
        severity="look",
        description="a drop could not become rows; it is quarantined whole",
        pattern=lambda _: {"source": [SOURCE], "detail-type": [DropRejected.detail_type]},
        is_ours=True,
        paths={"workload": "$.detail.workload", "key": "$.detail.source", "reason": "$.detail.reason"},
        sentence="REJECTED: drop <key> of <workload>, reason <reason>. Look: millrace quarantine --workload <workload>",
    ),
    "late-data": Notice(
        severity="look",
        description="the newest row is older than the contract allows",
        pattern=lambda _: {"source": [SOURCE], "detail-type": [DataLate.detail_type], "detail": {"of": ["rows"]}},
        is_ours=True,
        paths={"workload": "$.detail.workload", "newest": "$.detail.newest", "hours": "$.detail.allowed_hours"},
        sentence="LATE: rows of <workload>, the newest of <newest>, <hours> hours allowed. "
        "Look: millrace runs --machine ingest --workload <workload>",
    ),
    "late-labels": Notice(
        severity="look",
        description="decisions wait for labels longer than the workload allows",
        pattern=lambda _: {"source": [SOURCE], "detail-type": [DataLate.detail_type], "detail": {"of": ["labels"]}},
        is_ours=True,
        paths={"workload": "$.detail.workload", "newest": "$.detail.newest", "hours": "$.detail.allowed_hours"},
        sentence="LATE: labels of <workload>, the newest of <newest>, <hours> hours allowed. "
        "Look: millrace monitor --workload <workload>",
    ),
    "orphaned-endpoint": Notice(
        severity="act",
        description="the live endpoint serves a version that the state table does not name",
        pattern=lambda _: {"source": [SOURCE], "detail-type": [EndpointOrphaned.detail_type]},
        is_ours=True,
        paths={"workload": "$.detail.workload", "endpoint": "$.detail.endpoint"},
        sentence="ORPHANED: endpoint <endpoint> of <workload>, the state table names no live version; it stays. "
        "Look: millrace versions --workload <workload>",
    ),
    "refused-release": Notice(
        severity="look",
        description="a version was compared with another one than the live one; it is not released",
        pattern=lambda _: {"source": [SOURCE], "detail-type": [ReleaseRefused.detail_type]},
        is_ours=True,
        paths={"workload": "$.detail.workload", "version": "$.detail.version", "refusal": "$.detail.refusal"},
        sentence="NOT RELEASED: version <version> of <workload>, <refusal>. "
        "Look: millrace versions --workload <workload>",
    ),
    "untidy-release": Notice(
        severity="look",
        description="a version is live, and what older ones have left could not be deleted",
        pattern=lambda _: {"source": [SOURCE], "detail-type": [ReleaseUntidy.detail_type]},
        is_ours=True,
        paths={"workload": "$.detail.workload", "error": "$.detail.error", "run": "$.detail.run"},
        sentence="UNTIDY: a release of <workload> is live and has not deleted what older ones left, <error>. "
        "Look: millrace show <run>",
    ),
}
"""By name of the rule, as `Platform.rule` takes it."""
