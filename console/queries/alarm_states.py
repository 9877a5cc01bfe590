"""The workload's alarms as CloudWatch has them: state, since when, and the figure beside its bound."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from console.environment import Environment
from console.queries.monitoring import MonitorRun
from millrace.monitoring.alarms import published
from millrace.names import WorkloadNames

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]


@dataclass(frozen=True, kw_only=True)
class AlarmState:
    """One alarm."""

    name: str
    """Without the workload's prefix: `input-drift`."""
    state: State
    since: datetime
    """When it took this state."""
    figure: float | None
    """As last published; None where nothing was."""
    bound: float
    published_at: datetime | None
    """Start of the monitor run that published the figure."""
    description: str


def find_alarm_states(
    environment: Environment, names: WorkloadNames, runs: tuple[MonitorRun, ...]
) -> tuple[AlarmState, ...]:
    """The alarms on what monitors publish, and those of a release that runs, by name. `runs` are in order of time."""
    pages = environment.client("cloudwatch").get_paginator("describe_alarms")
    found = [alarm for page in pages.paginate(AlarmNamePrefix=f"{names.prefix}-") for alarm in page["MetricAlarms"]]
    states = []
    for alarm in sorted(found, key=lambda alarm: str(alarm["AlarmName"])):
        name = alarm["AlarmName"].removeprefix(f"{names.prefix}-")
        figure, at = _published(name, runs)
        states.append(
            AlarmState(
                name=name,
                state=alarm["StateValue"],
                since=alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"],
                figure=figure,
                bound=alarm["Threshold"],
                published_at=at,
                description=alarm.get("AlarmDescription", ""),
            )
        )
    return tuple(states)


def _published(name: str, runs: tuple[MonitorRun, ...]) -> tuple[float | None, datetime | None]:
    """The last figure that a monitor run has published for this alarm, and when."""
    known = [(value, run.started) for run in runs if (value := published(run.report).get(name)) is not None]
    return known[-1] if known else (None, None)
