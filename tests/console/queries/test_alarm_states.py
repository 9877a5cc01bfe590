"""Alarms as CloudWatch has them, with the figures that monitors have published."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from console.environment import Environment
from console.queries.alarm_states import find_alarm_states
from console.queries.report import WorkloadReport
from millrace.monitoring.alarms import COUNT_ALARMS, RATIO_ALARMS
from millrace.names import WorkloadNames
from tests.credentials import set_credentials


@pytest.fixture
def environment(report: WorkloadReport, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    set_credentials(monkeypatch)
    with mock_aws():
        found = Environment(
            platform=report.names.platform, client=lambda name: boto3.client(name, region_name="eu-west-1")
        )
        for name, alarm in [*RATIO_ALARMS.items(), *COUNT_ALARMS.items()]:
            found.client("cloudwatch").put_metric_alarm(
                AlarmName=report.names.alarm(name),
                AlarmDescription=f"electricity: {alarm.description}",
                Namespace=report.names.platform.metrics,
                MetricName=alarm.metric,
                Threshold=alarm.threshold,
                ComparisonOperator="GreaterThanThreshold",
                EvaluationPeriods=1,
                Period=60,
                Statistic="Maximum",
            )
        yield found


def test_each_alarm_has_its_state_and_its_last_figure(environment: Environment, report: WorkloadReport) -> None:
    drift = report.names.alarm("input-drift")
    environment.client("cloudwatch").set_alarm_state(AlarmName=drift, StateValue="ALARM", StateReason="above")
    found = {one.name: one for one in find_alarm_states(environment, report.names, report.monitor_runs)}
    assert found.keys() == {*RATIO_ALARMS, *COUNT_ALARMS}
    error, moved, unreadable = found["error"], found["input-drift"], found["unreadable"]
    assert (error.name, error.state, error.bound) == ("error", "OK", 1)
    assert error.figure == pytest.approx(0.868, abs=1e-3)
    assert (moved.name, moved.state, moved.figure) == ("input-drift", "ALARM", 224)
    assert {one.published_at for one in (moved, unreadable)} == {report.monitor_runs[-1].started}
    assert (unreadable.state, unreadable.figure, unreadable.bound) == ("OK", 0, 0)


def test_what_was_never_published_has_no_figure(environment: Environment, report: WorkloadReport) -> None:
    assert {(one.figure, one.published_at) for one in find_alarm_states(environment, report.names, ())} == {
        (None, None)
    }
    other = WorkloadNames(platform=report.names.platform, workload="xray")
    assert find_alarm_states(environment, other, ()) == ()
