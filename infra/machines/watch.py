"""The states that make the alarms on a live endpoint's decisions and requests, and the dashboard.

They are made when an endpoint is made or restored, and a teardown deletes them with it, since CloudWatch bills an alarm
whether its metrics have data or not. To put an alarm again changes nothing: it keeps its state. At this point the
release pointers name the version already. So a call that fails does not stop the release, which would undo a version
that serves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from infra.alarm_parameters import description, notifying, parameters
from infra.context import Context
from infra.iam import alarms
from infra.iam.resource import Statement
from infra.machines.calls import call
from infra.machines.dashboard import dashboard
from infra.machines.states import State
from millrace.monitoring import alarms as monitors
from millrace.operations.alarms import COMPOSITE, ENDPOINT_ALARMS, SERVING

COMMENTS = {
    "putMetricAlarm": "An alarm on the endpoint's requests or decisions",
    "putCompositeAlarm": "One message for all alarms on its requests",
    "putDashboard": "What the alarms watch, as charts",
}
FAILED = "$.not_watched"
"""The path of the error of a call that failed. The last state looks for it."""
FIRST = f"Watch {next(iter(monitors.RATIO_ALARMS))}"


def watch(context: Context, *, next_state: str) -> dict[str, State]:
    """A state for each alarm, one for the composite alarm and one for the dashboard, each after the other."""
    calls = {
        **{f"Watch {name}": _monitor(context, name) for name in monitors.RATIO_ALARMS | monitors.COUNT_ALARMS},
        **{f"Watch {name}": _endpoint(context, name) for name in ENDPOINT_ALARMS},
        f"Watch {SERVING}": _composite(context),
        "Dashboard": _dashboard(context),
    }
    # `pairwise` gives each state the next one, and `next_state` to the last. The Catch goes on to the same state.
    return {
        name: {
            **call(f"cloudwatch:{action}", COMMENTS[action], given, next_state=following),
            "Catch": [{"ErrorEquals": ["States.TaskFailed"], "ResultPath": FAILED, "Next": following}],
        }
        for (name, following) in pairwise((*calls, next_state))
        for action, given in (calls[name],)
    }


def _monitor(context: Context, name: str) -> tuple[str, Mapping[str, Any]]:
    alarm = (monitors.RATIO_ALARMS | monitors.COUNT_ALARMS)[name]
    return "putMetricAlarm", {
        "AlarmName": context.names.alarm(name),
        "AlarmDescription": description(name, context.workload.name, alarm.description, alarm.severity),
        "Namespace": context.platform.metrics,
        "MetricName": alarm.metric,
        "Dimensions": [{"Name": "Workload", "Value": context.workload.name}],
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": alarm.threshold,
        "ComparisonOperator": "GreaterThanThreshold",
        # Metrics come with each monitor run; in between the alarm keeps its state.
        "TreatMissingData": "ignore",
        **notifying(context.platform.alarm_topic_arn),
    }


def _endpoint(context: Context, name: str) -> tuple[str, Mapping[str, Any]]:
    alarm, names = ENDPOINT_ALARMS[name], context.names
    # CloudWatch has the latency of a model in microseconds.
    slowest_us = context.workload.gates.latency.max_p99_ms * 1000
    return "putMetricAlarm", parameters(
        name,
        alarm,
        alarm_name=names.alarm(name),
        about=names.workload,
        metrics=alarm.metrics(names),
        threshold=slowest_us if alarm.threshold is None else alarm.threshold,
    )


def _composite(context: Context) -> tuple[str, Mapping[str, Any]]:
    names = context.names
    return "putCompositeAlarm", {
        "AlarmName": names.alarm(SERVING),
        "AlarmDescription": description(SERVING, names.workload, COMPOSITE.description, COMPOSITE.severity),
        "AlarmRule": " OR ".join(f'ALARM("{names.alarm(name)}")' for name in COMPOSITE.alarms),
        **notifying(context.platform.alarm_topic_arn),
    }


def _dashboard(context: Context) -> tuple[str, Mapping[str, Any]]:
    return "putDashboard", {"DashboardName": context.names.dashboard, "DashboardBody": json.dumps(dashboard(context))}


def statements(context: Context) -> list[Statement]:
    """The rights to make the alarms and the dashboard."""
    names = context.names
    return [
        alarms.named(names, *monitors.RATIO_ALARMS, *monitors.COUNT_ALARMS, *ENDPOINT_ALARMS).may("PutMetricAlarm"),
        alarms.put_composite(),
        alarms.dashboard(names).may("PutDashboard"),
    ]
