"""The publication function: metrics, cursors, and alarms that stay."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from millrace.decisions.review import ReviewAnswer, item_of
from millrace.functions.publish_metrics.findings import metrics_of, staying
from millrace.messages.asked_labels import LabelDoubted, LabelErrorReport
from millrace.messages.feedback import OverrideReport
from millrace.messages.monitor import (
    ErrorReport,
    FloorDay,
    FloorFound,
    InputReport,
    MonitorReport,
    PromiseReport,
    WindowReport,
)
from millrace.monitoring.alarms import exceeded
from millrace.names import Platform, WorkloadNames
from millrace.state.cursors import Cursor
from millrace.state.reviews import ReviewQueue
from millrace.state.versions import ChangeStarts, FloorState, KeptPromise
from millrace.workload.policy import Floor, Policy, Review
from tests.alarm import put_alarm
from tests.functions.conftest import Aws

Publish = Callable[[MonitorReport], dict[str, Any]]
NEW_YEAR = datetime(1997, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
RUN_AT = datetime(1997, 2, 1, 6, tzinfo=UTC)
"""The time that counts in the run of the event."""


def report(input_ratio: float | None, error_ratio: float | None) -> MonitorReport:
    told = InputReport(rows=336, ratio=input_ratio, findings=())
    wrong = ErrorReport(
        answered=336, labelled=336, champions=336, error=0.2, ratio=error_ratio, windows=3, settled=True
    )
    window = WindowReport(start=NEW_YEAR, end=NEW_YEAR + WEEK, decisions=336, input=told, error=wrong)
    return MonitorReport(
        workload="electricity",
        as_of=NEW_YEAR + WEEK,
        model_version="1",
        unreadable=0,
        windows=(window,),
    )


@pytest.fixture
def publish(aws: Aws, load: Any, event: Any) -> Publish:
    handler = load("publish_metrics")

    def published(found: MonitorReport) -> dict[str, Any]:
        call = event("publish_metrics")
        aws.put(call["state"]["plan_windows"]["answer"]["report_uri"] + "/report.json", found.model_dump_json())
        return handler(call)

    return published


PROMISE = PromiseReport(promised_error=0.05, threshold=0.93, before=0.9, learnt=300, acted=100, wrong=9)


def test_a_promise_moves_the_threshold_and_is_recorded(publish: Publish, aws: Aws) -> None:
    for _ in range(2):  # a repeated call writes the same again
        publish(report(0.5, 0.5).model_copy(update={"promise": PROMISE}))
    assert KeptPromise.find(aws.state, "1") == KeptPromise(version="1", threshold=0.93, as_of=RUN_AT)
    (record,) = aws.audit()
    assert record["event"] == "automation.moved"
    assert record["details"] == {"version": "1", **PROMISE.model_dump()}
    later = KeptPromise(version="1", threshold=0.99, as_of=RUN_AT + WEEK)
    later.put(aws.state)
    publish(report(0.5, 0.5).model_copy(update={"promise": PROMISE.model_copy(update={"threshold": 0.8})}))
    assert (KeptPromise.find(aws.state, "1"), len(aws.audit())) == (later, 1), "an older run"


def test_nothing_moves_without_its_record(publish: Publish, aws: Aws) -> None:
    aws.dynamodb.delete_table(TableName=aws.names.platform.audit_table)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        publish(report(0.5, 0.5).model_copy(update={"promise": PROMISE}))
    assert KeptPromise.find(aws.state, "1") is None


def test_a_floor_is_kept_and_each_change_recorded(publish: Publish, aws: Aws) -> None:
    day = FloorDay(day="1997-01-07", labels=336, own=160, rule=130)
    on = FloorFound(below=True, before=False, labels=336, own=0.48, rule=0.39, days=(day,))
    for found in (on, on, on.model_copy(update={"before": True})):  # a repeated call, and one without a change
        publish(report(0.5, 0.5).model_copy(update={"floor": found}))
        state_now = FloorState(version="1", below=True, since=RUN_AT, as_of=RUN_AT, days=(day,))
        assert FloorState.find(aws.state, "1") == state_now
    assert FloorState.find(aws.state, "2") is None, "another version is not below it"
    (record,) = aws.audit()
    assert record["event"] == "floor.on"
    assert record["details"] == {"version": "1", **on.model_dump(exclude={"days"})}
    publish(report(0.5, 0.5).model_copy(update={"floor": on.model_copy(update={"below": False, "before": True})}))
    assert {one["event"] for one in aws.audit()} == {"floor.on", "floor.off"}
    later = FloorState(version="1", below=False, since=RUN_AT, as_of=RUN_AT + WEEK, days=())
    later.put(aws.state)
    publish(report(0.5, 0.5).model_copy(update={"floor": on}))
    assert (FloorState.find(aws.state, "1"), len(aws.audit())) == (later, 2), "an older run changes nothing"


@pytest.mark.parametrize(("below", "figure"), [(None, None), (False, 0.0), (True, 1.0)])
def test_only_a_workload_with_a_floor_has_its_metric(below: bool | None, figure: float | None) -> None:
    floor = None if below is None else FloorFound(below=below, before=below, labels=1, own=0, rule=0, days=())
    data = metrics_of(report(0.5, 0.5).model_copy(update={"floor": floor, "unreadable": 3}))
    assert (data.get("BelowFloor"), data["UnreadableDecisions"]) == (figure, 3)


@pytest.mark.parametrize(("ratios", "figure"), [([], None), ([0.9], 0), ([1.1, 0.9], 1)])
def test_windows_in_which_people_overrode_too_much_are_counted(ratios: list[float], figure: float | None) -> None:
    found = report(0.5, 0.5)
    overrides = [OverrideReport(reviewed=60, error=0.4, expected=0.3, ratio=ratio) for ratio in ratios]
    error = found.windows[0].error
    errors = [error.model_copy(update={"overrides": each}) for each in overrides or [None]]
    windows = tuple(found.windows[0].model_copy(update={"error": each}) for each in errors)
    told = found.model_copy(update={"windows": windows})
    assert metrics_of(told).get("Overrides") == figure
    assert ("overrides" in exceeded(told)) is bool(figure)


def test_since_when_windows_are_above_their_bound_is_kept_until_no_figure_is(publish: Publish, aws: Aws) -> None:
    """Of the error the first of the three windows counts that its figure rests on."""
    publish(report(1.2, 1.1))
    before = {"input-drift": NEW_YEAR, "error": NEW_YEAR - 2 * WEEK}
    assert ChangeStarts.find(aws.state, "1").since == before
    later = report(1.5, None).windows[0].model_copy(update={"start": NEW_YEAR + WEEK, "end": NEW_YEAR + 2 * WEEK})
    publish(report(0.9, None).model_copy(update={"windows": (*report(0.9, None).windows, later)}))
    assert ChangeStarts.find(aws.state, "1").since == before, "a report without a figure of the error does not end it"
    publish(report(0.9, 1.1))
    assert ChangeStarts.find(aws.state, "1").since == {"error": NEW_YEAR - 2 * WEEK}
    publish(report(None, 0.9))
    assert (ChangeStarts.find(aws.state, "1").since, ChangeStarts.find(aws.state, "2")) == ({}, None)


@pytest.fixture
def under(publish: Publish) -> Callable[[Policy], Publish]:
    """`under(Policy(floor=…))`: the function of a workload with this policy."""

    def changed(policy: Policy) -> Publish:
        room: Any = sys.modules["millrace.functions.publish_metrics.handler"].ROOM
        room.workload = room.workload.model_copy(update={"policy": policy})
        return publish

    return changed


FLOOR = Policy(floor=Floor(labels=96))
WAITING = FloorState(version="1", below=True, since=NEW_YEAR, as_of=NEW_YEAR, days=(), awaits_labels=True)


@pytest.mark.parametrize("below", [True, False])
def test_where_the_rule_answers_since_an_alarm_labels_of_that_time_decide(
    below: bool, under: Callable[[Policy], Publish], aws: Aws
) -> None:
    WAITING.put(aws.state)
    old, few, enough = (FloorDay(day=day, labels=n, own=9, rule=8) for day, n in
                        (("1996-12-31", 900), ("1997-01-02", 95), ("1997-01-03", 1)))  # fmt: skip
    found = FloorFound(below=below, before=False, labels=96, own=0.3, rule=0.2, days=(old, few))
    under(FLOOR)(report(1.2, None).model_copy(update={"floor": found}))
    assert FloorState.find(aws.state, "1") == replace(WAITING, as_of=RUN_AT, days=(old, few))
    assert aws.audit() == []
    found = found.model_copy(update={"days": (old, few, enough)})
    under(FLOOR)(report(1.2, None).model_copy(update={"floor": found}))
    kept = FloorState.find(aws.state, "1")
    assert kept is not None
    assert (kept.below, kept.awaits_labels, kept.since) == (below, False, NEW_YEAR if below else RUN_AT)
    assert [one["event"] for one in aws.audit()] == ([] if below else ["floor.off"])


def test_where_the_rule_answers_since_an_alarm_its_end_brings_the_version_back(
    under: Callable[[Policy], Publish], aws: Aws
) -> None:
    WAITING.put(aws.state)
    under(FLOOR)(report(1.2, None))
    assert FloorState.find(aws.state, "1") == WAITING
    under(FLOOR)(report(0.9, None))
    assert FloorState.find(aws.state, "1") == FloorState(version="1", below=False, since=RUN_AT, as_of=RUN_AT, days=())
    (record,) = aws.audit()
    assert (record["event"], record["details"]["labels"]) == ("floor.off", 0)


def alarm(name: str, state: str) -> None:
    cloudwatch = boto3.client("cloudwatch")
    put_alarm(cloudwatch, f"millrace-local-electricity-{name}")
    cloudwatch.set_alarm_state(AlarmName=f"millrace-local-electricity-{name}", StateValue=state, StateReason="test")


def test_metrics_are_published_and_the_cursors_move(
    aws: Aws, publish: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = publish(report(0.4, 0.7))
    assert answer["ratios"].items() >= {"input-drift": 0.4, "error": 0.7}.items()
    assert (answer["judged"], answer["ask_guard"], answer["alarms"]) == (1, False, [])
    told = next(json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line)
    assert (told["WindowsJudged"], told["InputDrift"], told["Error"]) == ([1], [0.4], [0.7])
    assert (told["_aws"]["CloudWatchMetrics"][0]["Namespace"], told["Workload"]) == ("Millrace/local", "electricity")
    assert Cursor.end(aws.state, "monitor") == Cursor.end(aws.state, "monitor-error") == NEW_YEAR + WEEK
    Cursor(name="monitor", window_end=NEW_YEAR + 3 * WEEK).put(aws.state)
    publish(report(0.4, 0.7))
    assert Cursor.end(aws.state, "monitor") == NEW_YEAR + 3 * WEEK


def test_every_alarm_stays_until_a_report_ends_it() -> None:
    names = WorkloadNames(platform=Platform(stage="local", account="1", region="eu-west-1"), workload="electricity")
    everything = (names.alarm("input-drift"), names.alarm("error"))
    raised = [{"AlarmName": name, "StateValue": "ALARM"} for name in everything]
    assert staying(raised, report(1.1, 1.2), names) == staying(raised, report(None, None), names) == everything
    assert staying(raised, report(1.1, 0.9), names) == (names.alarm("input-drift"),)
    assert staying(raised, report(0.9, 0.9), names) == ()


@pytest.mark.parametrize(
    ("state", "input_ratio", "asks"),
    [("ALARM", 1.4, True), ("ALARM", None, True), ("ALARM", 0.9, False), ("OK", 1.4, False)],
)
def test_the_guard_is_asked_again_while_an_alarm_stays(
    state: str, input_ratio: float | None, asks: bool, publish: Publish
) -> None:
    alarm("input-drift", state)
    alarm("error", "OK")
    answer = publish(report(input_ratio, None))
    assert answer["ask_guard"] is asks
    assert tuple(answer["alarms"]) == (("millrace-local-electricity-input-drift",) if asks else ())


def test_people_are_asked_about_the_first_labels_that_no_person_gave(
    under: Callable[[Policy], Publish], aws: Aws
) -> None:
    queue, doubting = ReviewQueue(aws.dynamodb, aws.names), under(Policy(label_errors_a_day=1))
    doubted = [
        LabelDoubted(id=name, event_time=NEW_YEAR, key={"id": name}, input="{}", source="api", label=1, doubt=0.9)
        for name in "abcd"
    ]
    queue.open(item_of(doubted[1], Review(), reason="labels_wanted", version="1", opened_at=RUN_AT))
    found = report(0.5, 0.5).model_copy(update={"label_errors": LabelErrorReport(quota=2, doubted=tuple(doubted))})
    for _ in range(2):  # a repeated call asks nobody else
        assert doubting(found)["labels_wanted"] == 2
        assert {item.id: item.reason for item in queue.waiting(most=9, now=RUN_AT)} == {
            "a": "label_error", "b": "labels_wanted", "c": "label_error"
        }  # fmt: skip
    (item,) = [one for one in queue.waiting(most=9, now=RUN_AT) if one.id == "a"]
    assert (item.is_blind, item.output, item.expires_at) == (True, None, RUN_AT + WEEK)
    held = queue.take("a", by="ann", now=RUN_AT)
    assert held is not None
    queue.answer(held, ReviewAnswer(value=1, by="ann", at=RUN_AT, seconds=3, source="terminal"), label="{}")
    assert doubting(found)["labels_wanted"] == 2
    assert {item.id for item in queue.waiting(most=9, now=RUN_AT)} == {"b", "c"}, (
        "a confirmed label is not asked about again"
    )
