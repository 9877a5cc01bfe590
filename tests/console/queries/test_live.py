"""Which version was live when, what acts by itself, and a version that is worse than its naive rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millrace.console.doctor.examination import _drops
from millrace.console.environment import Environment
from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.console.pages.summary import summary
from millrace.console.queries.live import live_periods
from millrace.console.queries.report import WorkloadReport
from millrace.console.queries.reviews import check_taken
from millrace.console.queries.versions import newer_rows_of_rule
from millrace.errors import RunError
from millrace.messages.audit import AuditEvent, ResourcesRemoved, VersionDecided, VersionLive, VersionRolledBack
from millrace.messages.envelope import Message
from millrace.names import MACHINES, WorkloadNames
from millrace.state.audit import Record
from millrace.workload.load import load_workload, workloads_folder

DAY = timedelta(days=1)
START = datetime(1997, 5, 1, tzinfo=UTC)
ANN = "arn:aws:sts::123456789012:assumed-role/Leads/ann"


def record(event: AuditEvent, details: Message, run: str = "r", day: float = 0) -> Record:
    arn = f"arn:aws:states:eu-west-1:123456789012:execution:release:{run}"
    return Record(actor="x", execution_arn=arn, event=event, as_of=START + day * DAY, cause="", details=details)


def live(version: str, revision: int, day: float, requests: int = 48) -> VersionLive:
    """It went live on this day after the start."""
    return VersionLive(
        version=version,
        revision=revision,
        watched_requests=requests,
        live_at=START + day * DAY,
        endpoint_config=f"v{version}-{revision}-live",
    )


BACK = VersionRolledBack(**{**vars(live("1", 3, 9)), "by": ANN, "reason": "worse since Tuesday", "replaced": "2"})
RECORDS = [
    record(AuditEvent.RELEASE_ROLLED_BACK, BACK, "third"),
    # Approved on the first day, and live after three weeks of phases: the release's own time says nothing of that.
    record(AuditEvent.RELEASE_APPROVED, VersionDecided(version="2", by=ANN, reason="as good on our wards")),
    record(AuditEvent.RELEASE_LIVE, live("2", 2, 4), "second"),
    record(AuditEvent.RELEASE_LIVE, live("2", 2, 5, requests=60), "second"),
    record(AuditEvent.RELEASE_LIVE, live("1", 1, 0), "first"),
    record(AuditEvent.TEARDOWN_STEP, ResourcesRemoved(step="endpoints", found=()), "gone", day=11),
    record(AuditEvent.TEARDOWN_STEP, ResourcesRemoved(step="endpoints", found=("endpoint e",)), "gone", day=12),
]


def test_periods_follow_each_other_whatever_the_order_of_the_records() -> None:
    found = live_periods(RECORDS)
    assert [(one.version, one.since, one.until) for one in found] == [
        ("1", START, START + 4 * DAY),
        ("2", START + 4 * DAY, START + 9 * DAY),
        ("1", START + 9 * DAY, START + 12 * DAY),
    ]
    assert live_periods(reversed(RECORDS)) == found
    assert live_periods([]) == []


def test_the_rule_is_better_on_the_rows_of_a_later_model(report: WorkloadReport) -> None:
    _, live, refused = report.models
    assert live.evaluation is not None
    assert refused.evaluation is not None
    assert newer_rows_of_rule(live.version, [live.evaluation, refused.evaluation]) is refused.evaluation
    assert (
        "On 1,344 rows that a later model was tested on, 3 June 1997 to 30 June 1997, version 2 is 61% right, the "
        "naive rule 75% right."
    ) in summary(report)
    assert newer_rows_of_rule(live.version, [live.evaluation]) is None
    assert newer_rows_of_rule(report.models[0].version, [live.evaluation]) is None


def test_the_rule_is_compared_on_the_same_rows_and_by_the_error_alone(report: WorkloadReport) -> None:
    _, live, refused = report.models
    assert refused.evaluation is not None
    assert refused.evaluation.champion is not None
    found, champion, naive = refused.evaluation, refused.evaluation.champion, refused.evaluation.naive
    for changed in (
        {"champion": champion.model_copy(update={"rows": 7})},
        {"champion": champion.model_copy(update={"measure": "log_loss"})},
        {"naive": naive.model_copy(update={"metrics": {"error": champion.error}})},
        {"naive": naive.model_copy(update={"rule": "base_rate"})},
    ):
        other = found.model_copy(update=changed)
        assert newer_rows_of_rule(live.version, [other]) is None
        models = (*report.models[:-1], replace(refused, evaluation=other))
        assert "a later model was tested on" not in summary(replace(report, models=models))


NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")


class Pages:
    """Answers every list with the same mappings or machines."""

    def __init__(self, states: tuple[str, ...]) -> None:
        self._pages = [
            {
                "EventSourceMappings": [{"State": state} for state in states],
                "stateMachines": [
                    {"name": NAMES.machine(name), "stateMachineArn": NAMES.machine_arn(name)} for name in MACHINES
                ],
            }
        ]

    def get_paginator(self, _: str) -> Pages:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return self._pages


@pytest.fixture
def environment() -> Callable[..., Environment]:
    return lambda *states: Environment(platform=PLATFORM, client=lambda _: Pages(states))


@pytest.mark.parametrize("states", [("Enabled",), ("Enabling",), ("Disabled", "Enabled"), ()])
def test_drops_are_taken(environment: Callable[..., Environment], states: tuple[str, ...]) -> None:
    """Also where there is no mapping: a stack that is not whole says so itself."""
    check_taken(environment(*states), NAMES)
    assert list(_drops(environment(*states), [load_workload(workloads_folder() / "electricity")])) == []


@pytest.mark.parametrize("state", ["Disabled", "Disabling"])
def test_drops_are_not_taken(environment: Callable[..., Environment], state: str) -> None:
    with pytest.raises(RunError, match="switched off, by a teardown or by hand; the way back: cdk deploy --all"):
        check_taken(environment(state), NAMES)
    (check,) = _drops(environment(state), [load_workload(workloads_folder() / "electricity")])
    assert (check.verdict, check.found) == ("missing", "switched off")
