"""Alarms change on metrics and on the clock, and say so in AWS's words to the bus, to topics and to functions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.cloudwatch.alarm_evaluation import Rule, judge
from localcloud.cloudwatch.install import Alarms, holds
from localcloud.kernel.cloud import Cloud
from tests.alarm import put_alarm
from tests.localcloud.resources import Resources
from tests.localcloud.waiting import until


@pytest.fixture
def alarm(client: Callable[[str], Any], fresh: Callable[..., str]) -> Callable[..., str]:
    """Makes an alarm on the metric `m` of a namespace that has the alarm's name."""

    def make(**settings: Any) -> str:
        name = fresh("Alarm")
        metric = {} if "Metrics" in settings else {"Namespace": name, "MetricName": "m", "Period": 60}
        statistic = {} if {"Metrics", "ExtendedStatistic"} & set(settings) else {"Statistic": "Average"}
        client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            **{
                "EvaluationPeriods": 1,
                "Threshold": 1.0,
                "ComparisonOperator": "GreaterThanThreshold",
                **metric,
                **statistic,
                **settings,
            },
        )
        return name

    return make


@pytest.fixture
def told(aws: Resources) -> Callable[[str], dict[str, Any]]:
    """Gives the next event of an alarm on the default bus; those of others are passed over."""
    queue = aws.heard(source=["aws.cloudwatch"])

    def next_for(alarm_name: str) -> dict[str, Any]:
        return until(lambda: next((one for one in queue.bodies() if one["detail"]["alarmName"] == alarm_name), {}))

    return next_for


def put(client: Any, namespace: str, *values: float, **named: Any) -> None:
    data = [{"MetricName": "m", "Value": value, **named} for value in values]
    client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)


def states(client: Any, *names: str) -> list[str]:
    found = client("cloudwatch").describe_alarms(AlarmNames=[*names], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    by_name = {one["AlarmName"]: one["StateValue"] for one in (*found["MetricAlarms"], *found["CompositeAlarms"])}
    return [by_name[name] for name in names]


def state(client: Any, name: str) -> str:
    return states(client, name)[0]


def test_a_metric_changes_the_state_and_the_event_is_awss(client: Any, alarm: Any, told: Any) -> None:
    name = alarm(AlarmDescription="too high")
    assert state(client, name) == "INSUFFICIENT_DATA"
    put(client, name, 3.0)
    event = told(name)
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["resources"] == [f"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{name}"]
    detail = event["detail"]
    assert set(detail) == {"alarmName", "configuration", "previousState", "state"}
    assert detail["previousState"]["value"] == "INSUFFICIENT_DATA"
    assert detail["state"]["value"] == "ALARM"
    assert detail["state"]["reason"].startswith("Threshold Crossed: 1 out of the last 1 datapoint [3.0 (")
    assert json.loads(detail["state"]["reasonData"])["recentDatapoints"] == [3.0]
    assert detail["configuration"]["description"] == "too high"
    (metric,) = detail["configuration"]["metrics"]
    assert metric["metricStat"] == {
        "metric": {"dimensions": {}, "name": "m", "namespace": name}, "period": 60, "stat": "Average"
    }  # fmt: skip


def test_the_clock_moves_a_breach_out_of_the_range(cloud: Cloud, client: Any, alarm: Any) -> None:
    kept, forgotten = alarm(TreatMissingData="ignore"), alarm()
    for name in (kept, forgotten):
        put(client, name, 3.0)
        until(lambda name=name: state(client, name) == "ALARM")  # type: ignore[misc]
    cloud.clock.move(cloud.clock.now() + timedelta(hours=1))
    assert (state(client, kept), state(client, forgotten)) == ("ALARM", "INSUFFICIENT_DATA")


LOW, ALIGNED = {"ComparisonOperator": "LessThanThreshold", "Threshold": 10.0}, {"WallClockWindow": {}}


@pytest.mark.parametrize("settings", [LOW, {"EvaluationWindow": ALIGNED}], ids=["a low sum", "an aligned window"])
def test_a_period_that_is_not_over_is_no_breach_yet(cloud: Cloud, client: Any, alarm: Any, settings: Any) -> None:
    name = alarm(Statistic="Sum", TreatMissingData="ignore", **settings)
    # Not in the last second of a minute, where the period would be over before the look.
    seconds_left = 60 - cloud.clock.timestamp() % 60
    if seconds_left < 2:
        cloud.clock.move(cloud.clock.now() + timedelta(seconds=seconds_left))
    put(client, name, 3.0)
    time.sleep(0.3)
    assert state(client, name) == "INSUFFICIENT_DATA"
    cloud.clock.move(cloud.clock.now() + timedelta(minutes=1))
    assert state(client, name) == "ALARM"


def test_an_aligned_window_of_another_period_or_zone_is_refused(alarm: Any) -> None:
    for period_s, zone, said in ((120, "UTC", "expected one of"), (60, "Europe/Berlin", "is not covered")):
        with pytest.raises(ClientError, match=said):
            alarm(Period=period_s, EvaluationWindow={"WallClockWindow": {"Timezone": zone}})


def test_a_forced_state_is_told(client: Any, alarm: Any, told: Any) -> None:
    name = alarm(TreatMissingData="ignore")
    client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="drill")
    assert told(name)["detail"]["state"]["reason"] == "drill"
    assert state(client, name) == "ALARM"


def test_an_update_keeps_the_state(client: Any, alarm: Any) -> None:
    name = alarm(TreatMissingData="ignore")
    client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="OK", StateReason="drill")
    put_alarm(client("cloudwatch"), name, Namespace=name, Threshold=2.0, TreatMissingData="ignore")
    assert state(client, name) == "OK"


def test_who_waits_for_an_evaluation_shares_the_next_one(
    cloud: Cloud, alarm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever asks while it lasts adds one, and the dispatcher has no thread left for anything else."""
    alarm()
    alarms, begun, may_go = cloud.parts[Alarms], Event(), Event()
    lasting = []

    def report(*_: Any) -> None:
        lasting.append(1)
        begun.set()
        may_go.wait(30)

    monkeypatch.setattr("localcloud.cloudwatch.install.report_queues", report)
    first = Thread(target=alarms.evaluate)
    first.start()
    assert begun.wait(30)
    waiting = [Thread(target=alarms.evaluate) for _ in range(20)]
    for one in waiting:
        one.start()
    time.sleep(0.5)  # so that each has asked
    may_go.set()
    for one in (first, *waiting):
        one.join(30)
    assert not any(one.is_alive() for one in waiting)
    assert len(lasting) <= 3, "its own, one for all who waited, one that is due every few seconds anyway"


THREE_OF_THREE = [
    ("0-X-X", ["OK", "OK", "OK", "OK"]),
    ("----0", ["OK", "OK", "OK", "OK"]),
    ("-----", ["INSUFFICIENT_DATA", "kept", "ALARM", "OK"]),
    ("0XX-X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
    ("--X--", ["ALARM", "kept", "ALARM", "OK"]),
]
TWO_OF_THREE = [
    ("0-X-X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
    ("00X0X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
    ("0-X--", ["OK", "OK", "ALARM", "OK"]),
    ("----0", ["OK", "OK", "ALARM", "OK"]),
    ("---X-", ["ALARM", "kept", "ALARM", "OK"]),
]
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


@pytest.mark.parametrize(
    ("needed", "drawn", "treatment", "expected"),
    [
        (needed, drawn, treatment, state)
        for needed, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
        for drawn, states in table
        for treatment, state in zip(TREATMENTS, states, strict=True)
    ],
)
def test_the_tables_of_the_user_guide(needed: int, drawn: str, treatment: str, expected: str) -> None:
    rule = Rule(
        comparison="GreaterThanThreshold",
        threshold=0.5,
        evaluation_periods=3,
        datapoints_to_alarm=needed,
        missing=treatment,
    )
    values = {"0": 0.0, "X": 1.0, "-": None}
    periods = [(60.0 * n, values[mark]) for n, mark in enumerate(drawn)]
    assert judge(rule, periods, "kept").state == expected


def test_the_sentence_is_cloudwatchs() -> None:
    rule = Rule(comparison="GreaterThanThreshold", threshold=50.0, evaluation_periods=1, datapoints_to_alarm=1)
    at = 1570035540.0
    assert judge(rule, [(at, 99.50160229693434)], "OK").reason == (
        "Threshold Crossed: 1 out of the last 1 datapoint [99.50160229693434 (02/10/19 16:59:00)] was greater than "
        "the threshold (50.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert judge(rule, [(at, 1.0)], "ALARM").reason == (
        "Threshold Crossed: 1 out of the last 1 datapoint [1.0 (02/10/19 16:59:00)] was not greater than "
        "the threshold (50.0) (minimum 1 datapoint for ALARM -> OK transition)."
    )
    assert judge(rule, [(at, None)], "OK").reason == "Insufficient Data: 1 datapoint was unknown."


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ALARM(errors)", True),
        ('ALARM("drift high")', False),
        ('ALARM("drift high") OR OK("drift high")', True),
        ("ALARM(arn:aws:cloudwatch:eu-west-1:123456789012:alarm:errors)", True),
    ],
)
def test_rule(rule: str, expected: bool) -> None:
    assert holds(rule, {"errors": "ALARM", "drift high": "OK"}) is expected


def test_a_rule_of_an_alarm_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match=r"\['other'\]"):
        holds("ALARM(other)", {})


def test_one_message_for_two_alarms(cloud: Any, client: Any, fresh: Any, alarm: Any) -> None:
    one, two = (alarm(TreatMissingData="notBreaching") for _ in range(2))
    both, queue, topic = fresh("Both"), fresh("queue"), client("sns").create_topic(Name=fresh("topic"))["TopicArn"]
    url = client("sqs").create_queue(QueueName=queue)
    arn = f"arn:aws:sqs:{cloud.region}:123456789012:{queue}"
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    rule = f'ALARM("{one}") OR ALARM("{two}")'
    client("cloudwatch").put_composite_alarm(AlarmName=both, AlarmRule=rule, AlarmActions=[topic])
    for name in (one, two):
        put(client, name, 3.0)
    until(lambda: states(client, one, two, both) == ["ALARM"] * 3)
    received = client("sqs").receive_message(QueueUrl=url["QueueUrl"], WaitTimeSeconds=5, MaxNumberOfMessages=10)
    (said,) = [json.loads(message["Body"]) for message in received["Messages"]]
    assert (said["AlarmName"], said["NewStateValue"], said["AlarmRule"]) == (both, "ALARM", rule)
    assert "Trigger" not in said


def test_suppression_and_a_rule_without_or_are_refused_by_name(client: Any, fresh: Any) -> None:
    for more in ({"ActionsSuppressor": "other", "ActionsSuppressorWaitPeriod": 60}, {"AlarmRule": "NOT OK(a)"}):
        with pytest.raises(ClientError, match="is not covered"):
            client("cloudwatch").put_composite_alarm(**{"AlarmName": fresh("Both"), "AlarmRule": "OK(a)", **more})
