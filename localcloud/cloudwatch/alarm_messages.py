"""The three shapes in which CloudWatch reports an alarm's change: event, notification, payload for a function.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from localcloud.cloudwatch.alarm_evaluation import Judgement, Rule
from localcloud.kernel.cloud import ACCOUNT


@dataclass(frozen=True, kw_only=True)
class State:
    """A state of an alarm, with its reason and time."""

    value: str
    reason: str
    reason_data: str
    """The reason as JSON text; may be empty."""
    changed_at: datetime
    """UTC without a time zone, as moto keeps it."""

    def as_event(self) -> dict[str, str]:
        """The state as an event shows it."""
        shown = {"value": self.value, "reason": self.reason, "timestamp": _stamp(self.changed_at)}
        if self.reason_data not in ("", "{}"):
            shown["reasonData"] = self.reason_data
        return shown


def state_of(alarm: Any) -> State:
    """The present state of moto's alarm."""
    return State(
        value=alarm.state_value,
        reason=alarm.state_reason,
        reason_data=alarm.state_reason_data or "",
        changed_at=alarm.state_updated_timestamp,
    )


def reason_data(alarm: Any, rule: Rule, judgement: Judgement, period_s: int, now: datetime) -> str:
    """The judgement as the JSON text of StateReasonData.

    `evaluatedDatapoints` lists the points newest first, as AWS does, `recentDatapoints` oldest first."""
    data: dict[str, Any] = {"version": "1.0", "queryDate": _stamp(now)}
    if judgement.points:
        data["startDate"] = _stamp_of(judgement.points[-1][0])
    if not alarm.metric_data_queries:
        data["statistic"] = alarm.statistic or alarm.extended_statistic
    data |= {
        "period": period_s,
        "recentDatapoints": [value for _, value in reversed(judgement.points)],
        "threshold": rule.threshold,
        "evaluatedDatapoints": [{"timestamp": _stamp_of(at), "value": value} for at, value in judgement.points],
    }
    return json.dumps(data, separators=(",", ":"))


def event_detail(alarm: Any, before: State) -> dict[str, Any]:
    """`detail` of the "CloudWatch Alarm State Change" event."""
    return {
        "alarmName": alarm.name,
        "configuration": configuration(alarm),
        "previousState": before.as_event(),
        "state": state_of(alarm).as_event(),
    }


def configuration(alarm: Any) -> dict[str, Any]:
    """What the alarm looks at, as the event shows it: the rule of a composite alarm, or the metrics."""
    if alarm.rule:
        # AWS documents no description here: its examples have the rule, and what suppresses actions.
        return {"alarmRule": alarm.rule}
    described = {"description": alarm.description} if alarm.description else {}
    if alarm.metric_data_queries:
        return {**described, "metrics": [_query(query) for query in alarm.metric_data_queries]}
    metric = _metric(alarm.namespace, alarm.metric_name, alarm.dimensions)
    statistic = {"metric": metric, "period": int(alarm.period), "stat": alarm.statistic or alarm.extended_statistic}
    # AWS makes this id up. Here it follows from the ARN, so that an alarm always has the same one.
    made_up = str(uuid.uuid5(uuid.NAMESPACE_URL, alarm.alarm_arn))
    return {**described, "metrics": [{"id": made_up, "metricStat": statistic, "returnData": True}]}


def function_payload(alarm: Any, before: State, region: str) -> dict[str, Any]:
    """The payload with which an alarm action invokes a function."""
    return {
        "source": "aws.cloudwatch",
        "alarmArn": alarm.alarm_arn,
        "accountId": ACCOUNT,
        "time": _stamp(alarm.state_updated_timestamp),
        "region": region,
        "alarmData": event_detail(alarm, before),
    }


def notification(alarm: Any, before: State, region: str) -> tuple[str, str]:
    """Subject and message (JSON text) that an alarm action publishes to a topic."""
    message = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": ACCOUNT,
        "AlarmConfigurationUpdatedTimestamp": _stamp(alarm.configuration_updated_timestamp),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": _stamp(alarm.state_updated_timestamp),
        "Region": region,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before.value,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
        **({"AlarmRule": alarm.rule} if alarm.rule else {"Trigger": _trigger(alarm)}),
    }
    # A subject has 100 characters at most in SNS.
    return f'{alarm.state_value}: "{alarm.name}" in {region}'[:100], json.dumps(message)


def _trigger(alarm: Any) -> dict[str, Any]:
    decided = {
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": alarm.datapoints_to_alarm or alarm.evaluation_periods,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.treat_missing_data or "missing",
    }
    if alarm.metric_data_queries:
        return {**decided, "Metrics": configuration(alarm)["metrics"]}
    return {
        **decided,
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        "Period": alarm.period,
        "StatisticType": "Statistic" if alarm.statistic else "ExtendedStatistic",
        "Statistic": (alarm.statistic or alarm.extended_statistic or "").upper(),
        "Dimensions": [{"name": one.name, "value": one.value} for one in alarm.dimensions],
    }


def _query(query: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": query.id, "returnData": returns_data(query)}
    if query.label:
        shown["label"] = query.label
    if query.metric_stat is None:
        return {**shown, "expression": query.expression, **({"period": int(query.period)} if query.period else {})}
    stat = query.metric_stat
    metric = _metric(stat.metric.namespace, stat.metric.metric_name, stat.metric.dimensions)
    return {**shown, "metricStat": {"metric": metric, "period": int(stat.period), "stat": stat.stat}}


def returns_data(query: Any) -> bool:
    """Whether this is the query that the alarm compares with its threshold. A query without the flag is."""
    return str(query.return_data).lower() != "false"


def _metric(namespace: str, name: str, dimensions: Any) -> Mapping[str, Any]:
    return {"dimensions": {one.name: one.value for one in dimensions}, "name": name, "namespace": namespace}


def _stamp(when: datetime) -> str:
    """`2026-11-20T10:07:30.250+0000`; `when` is UTC."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}+0000"


def _stamp_of(timestamp: float) -> str:
    return _stamp(datetime.fromtimestamp(timestamp, UTC))
