"""Which version was live when, what acts by itself, and a version that is worse than its naive rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from millrace.console.pages.summary import summary
from millrace.console.queries.live import Automates, LivePeriod, live_periods
from millrace.console.queries.report import WorkloadReport
from millrace.console.queries.versions import newer_rows_of_rule
from millrace.messages.audit import AuditEvent, ResourcesRemoved, VersionDecided, VersionLive, VersionRolledBack
from millrace.messages.envelope import Message
from millrace.state.audit import Record
from millrace.state.automation import Automation
from millrace.workload.policy import Automate, Costs, Policy

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


def test_a_period_has_its_people_and_its_configuration() -> None:
    first, second, third = live_periods(RECORDS)
    nobody = {"approved_by": "", "approval": "", "rolled_back_by": "", "rollback": ""}
    assert vars(first) == nobody | {
        "version": "1", "since": START, "until": START + 4 * DAY, "endpoint_config": "v1-1-live", "execution": "first",
        "revision": 1,
    }  # fmt: skip
    assert (second.approved_by, second.approval, second.execution) == (ANN, "as good on our wards", "second")
    assert (third.rolled_back_by, third.rollback) == (ANN, "worse since Tuesday")
    assert third.endpoint_config == "v1-3-live"


@pytest.mark.parametrize("removed", [False, True])
def test_without_a_teardown_the_last_one_is_live_still(removed: bool) -> None:
    last: LivePeriod = live_periods(RECORDS if removed else RECORDS[:5])[-1]
    assert (last.until is None) is not removed


COSTS = Policy(automate=Automate(costs=Costs(false_positive=5, false_negative=40, review=2.5, currency="EUR")))


@pytest.mark.parametrize(
    ("is_live", "threshold", "words"),
    [
        (True, 2.5, "up to an expected cost of 2.5 EUR"),
        (False, None, "nothing: no version is live yet"),
        (True, None, "nothing: the live version was evaluated with other costs"),
    ],
)
def test_with_costs_an_amount_is_told(is_live: bool, threshold: float | None, words: str) -> None:
    found = Automates(policy=COSTS, threshold=threshold, is_live=is_live, switch=Automation(), floor=None)
    assert found.words == words


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
