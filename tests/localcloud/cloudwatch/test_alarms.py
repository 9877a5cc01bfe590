"""Alarms change on metrics and on the clock, and say so in AWS's words to the bus, to topics and to functions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest

from localcloud.cloudwatch.install import Alarms
from localcloud.kernel.cloud import Cloud
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


def state(client: Any, name: str) -> str:
    (found,) = client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(found["StateValue"])


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


def test_a_sum_that_is_low_so_far_is_no_breach_yet(cloud: Cloud, client: Any, alarm: Any) -> None:
    name = alarm(Statistic="Sum", ComparisonOperator="LessThanThreshold", Threshold=10.0, TreatMissingData="ignore")
    # Not in the last second of a minute, where the period would be over before the look.
    seconds_left = 60 - cloud.clock.timestamp() % 60
    if seconds_left < 2:
        cloud.clock.move(cloud.clock.now() + timedelta(seconds=seconds_left))
    put(client, name, 3.0)
    time.sleep(0.3)
    assert state(client, name) == "INSUFFICIENT_DATA"
    cloud.clock.move(cloud.clock.now() + timedelta(minutes=1))
    assert state(client, name) == "ALARM"


def test_a_forced_state_is_told(client: Any, alarm: Any, told: Any) -> None:
    name = alarm(TreatMissingData="ignore")
    client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="drill")
    assert told(name)["detail"]["state"]["reason"] == "drill"
    assert state(client, name) == "ALARM"


def test_an_update_keeps_the_state(client: Any, alarm: Any) -> None:
    name = alarm(TreatMissingData="ignore")
    client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="OK", StateReason="drill")
    client("cloudwatch").put_metric_alarm(
        AlarmName=name, Namespace=name, MetricName="m", Period=60, Statistic="Average", EvaluationPeriods=1,
        Threshold=2.0, ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore",
    )  # fmt: skip
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
