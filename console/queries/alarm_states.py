"""The workload's alarms as CloudWatch has them: the state, since when, and the figure beside its bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from millrace.console.environment import Environment
from millrace.console.queries.monitoring import MonitorRun
from millrace.monitoring.alarms import every_monitor_alarm, published
from millrace.names import WorkloadNames
from millrace.operations import alarms as operations
from millrace.operations.alarms import Severity
from millrace.operations.notices import RAISED

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]


@dataclass(frozen=True, kw_only=True)
class AlarmState:
    """One alarm."""

    name: str
    """The name without the workload's prefix: `input-drift`."""
    state: State
    since: datetime
    """When the alarm took this state."""
    figure: float | None
    """The figure as it was last published; None if it never was."""
    bound: float | None
    """The figure above which the alarm is raised; None for a composite alarm."""
    published_at: datetime | None
    """The start of the monitor run that published the figure; None if none did."""
    description: str
    severity: Severity | None
    """None for an alarm of a release: the release itself reacts to it."""
    runbook: str
    """Where it is written what to do; empty for an alarm of a release."""

    @property
    def is_of_stage(self) -> bool:
        """Whether all workloads of the stage share it."""
        return self.name in operations.STAGE_ALARMS


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """One subscription of the topic of alarms."""

    protocol: str
    """For example `email`; `webhook` for the stage's chat."""
    endpoint: str
    is_confirmed: bool
    """An address gets no message before its owner has confirmed the subscription."""


def find_alarm_states(
    environment: Environment, names: WorkloadNames, runs: tuple[MonitorRun, ...]
) -> tuple[AlarmState, ...]:
    """The workload's alarms sorted by name, then the alarms of its stage sorted by name.

    The alarms of a release that is running are among the workload's. `runs` are in the order of time."""
    client, platform = environment.client("cloudwatch"), names.platform
    pages = client.get_paginator("describe_alarms")
    own = [
        alarm
        for page in pages.paginate(AlarmNamePrefix=f"{names.prefix}-", AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        for alarm in (*page.get("MetricAlarms", []), *page.get("CompositeAlarms", []))
    ]
    shared = client.describe_alarms(AlarmNames=[platform.alarm(name) for name in operations.STAGE_ALARMS])
    severities = _severities()
    states = []
    for prefix, alarm in (
        *((names.prefix, alarm) for alarm in sorted(own, key=_name)),
        *((platform.prefix, alarm) for alarm in sorted(shared["MetricAlarms"], key=_name)),
    ):
        name = _name(alarm).removeprefix(f"{prefix}-")
        figure, at = _published(name, runs)
        states.append(
            AlarmState(
                name=name,
                state=alarm["StateValue"],
                # The last change of the state itself; where that is missing, the alarm's last update stands for it.
                since=alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"],
                figure=figure,
                bound=alarm.get("Threshold"),
                published_at=at,
                description=alarm.get("AlarmDescription", ""),
                severity=severities.get(name),
                runbook=operations.runbook(name) if name in severities else "",
            )
        )
    return tuple(states)


MAIL_LOG = "/local/mail"
"""The local cloud writes the mails of a subscription into this log group, confirmed or not."""


def find_receivers(environment: Environment, names: WorkloadNames) -> tuple[Receiver, ...]:
    """Who gets the changes of alarms, and the notices of failed runs and rejected drops."""
    topic = {"TopicArn": names.platform.alarm_topic_arn}
    found = list(environment.listed("sns", "list_subscriptions_by_topic", "Subscriptions", **topic))
    events, rule = environment.client("events"), names.platform.rule(RAISED)
    deployed = any(one["Name"] == rule for one in events.list_rules(NamePrefix=rule)["Rules"])
    targets = events.list_targets_by_rule(Rule=rule)["Targets"] if deployed else []
    has_chat = any(one["Id"] == "webhook" for one in targets)
    chat = [Receiver(protocol="webhook", endpoint="the chat of the stage", is_confirmed=True)] if has_chat else []
    return (
        *chat,
        *(
            Receiver(
                protocol=one["Protocol"],
                endpoint=one["Endpoint"],
                # Until it is confirmed, its ARN is the word `PendingConfirmation`.
                is_confirmed=str(one["SubscriptionArn"]).startswith("arn:"),
            )
            for one in found
        ),
    )


def _name(alarm: Mapping[str, Any]) -> str:
    return str(alarm["AlarmName"])


def _severities() -> dict[str, Severity]:
    """The severity of every alarm that a template deploys, by the alarm's name without a prefix."""
    of_workload = operations.ALARMS | operations.ENDPOINT_ALARMS | every_monitor_alarm()
    for of_section in operations.SECTION_ALARMS.values():
        of_workload |= of_section
    return {
        **{name: alarm.severity for name, alarm in of_workload.items()},
        operations.SERVING: operations.COMPOSITE.severity,
        **{name: alarm.severity for name, alarm in operations.STAGE_ALARMS.items()},
    }


def _published(name: str, runs: tuple[MonitorRun, ...]) -> tuple[float | None, datetime | None]:
    """The figure that a monitor run last published for this alarm, and the start of that run; (None, None) if none."""
    known = [(value, run.started) for run in runs if (value := published(run.report).get(name)) is not None]
    return known[-1] if known else (None, None)
