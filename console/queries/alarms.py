"""The workload's alarms as CloudWatch has them, and what its monitors cannot watch or watch without a promise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

from millrace.console.environment import Environment
from millrace.console.queries.monitoring import MonitoringBounds, MonitorRun
from millrace.console.queries.stored import as_file, find_object
from millrace.console.queries.versions import state_of
from millrace.console.words import column, first_few
from millrace.errors import RunError, WorkloadError
from millrace.evaluation.report import EVALUATION_FILE, Evaluation
from millrace.messages.monitor import BASELINE_FILE
from millrace.monitoring.alarms import every_monitor_alarm, published
from millrace.monitoring.calibration import PROMISED_WINDOWS, SLICES
from millrace.monitoring.error import FEWEST, stretches_of
from millrace.names import WorkloadNames
from millrace.operations import alarms as operations
from millrace.operations.alarms import Severity
from millrace.operations.notices import RAISED
from millrace.state.pointers import ReleasePointers
from millrace.workload.declaration import Workload
from millrace.workload.load import read_workload

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]


@dataclass(frozen=True, kw_only=True)
class AlarmState:
    """One alarm."""

    name: str = column(heading="alarm")
    """The name without the workload's prefix: `input-drift`."""
    state: State = column()
    acknowledged: str = column(heading="acknowledged by", default="")
    """Who acts on it; empty if nobody has said so."""
    severity: Severity | None = column()
    """None for an alarm of a release: the release itself reacts to it."""
    since: datetime = column()
    """When the alarm took this state."""
    figure: float | None = column()
    """The figure as it was last published; None if it never was."""
    bound: float | None = column("{:,.10g}".format)
    """The figure above which the alarm is raised; None for a composite alarm."""
    published_at: datetime | None = column(heading="published")
    """The start of the monitor run that published the figure; None if none did."""
    # Without the workload before it, and severity and runbook behind it, which have own columns.
    description: str = column(lambda text: re.sub(r"^[^:]*: | \(\w+; [^ )]+\)$", "", text), heading="watches")
    runbook: str = column()
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


def check_raised(alarm: str, states: Sequence[AlarmState]) -> None:
    """Raise RunError if it is none of the workload's own raised alarms."""
    raised = [one.name for one in states if one.state == "ALARM" and not one.is_of_stage]
    if alarm not in raised:
        raise RunError(f"expected a raised alarm ({', '.join(raised) or 'none is raised'}), got {alarm}")


def find_alarm_states(
    environment: Environment, names: WorkloadNames, runs: tuple[MonitorRun, ...]
) -> tuple[AlarmState, ...]:
    """The workload's alarms sorted by name, then the alarms of its stage sorted by name.

    The alarms of a release that is running are among the workload's. `runs` are in the order of time."""
    shared = [names.platform.alarm(name) for name in operations.STAGE_ALARMS]
    own = _described(environment, AlarmNamePrefix=f"{names.prefix}-")
    return states_of([*own, *_described(environment, AlarmNames=shared)], names, runs)


def find_raised(environment: Environment) -> list[Mapping[str, Any]]:
    """The alarms of all workloads of a stage that are on, and its own, as CloudWatch describes them: by few calls, of
    which an account has few in a second."""
    found = _described(environment, AlarmNamePrefix=f"{environment.platform.prefix}-", StateValue="ALARM")
    return [alarm for alarm in found if alarm["StateValue"] == "ALARM"]


def _described(environment: Environment, **asked: Any) -> Iterator[Mapping[str, Any]]:
    pages = environment.client("cloudwatch").get_paginator("describe_alarms")
    for page in pages.paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"], **asked):
        yield from (*page.get("MetricAlarms", []), *page.get("CompositeAlarms", []))


def states_of(
    alarms: Iterable[Mapping[str, Any]], names: WorkloadNames, runs: tuple[MonitorRun, ...] = ()
) -> tuple[AlarmState, ...]:
    """Those of the alarms that are the workload's, sorted by name, then those of its stage, sorted by name."""
    shared = {names.platform.alarm(name) for name in operations.STAGE_ALARMS}
    severities = _severities()
    states = []
    for alarm in sorted(alarms, key=lambda alarm: (_name(alarm) in shared, _name(alarm))):
        prefix = names.platform.prefix if _name(alarm) in shared else names.prefix
        if not _name(alarm).startswith(f"{prefix}-"):
            continue
        name = _name(alarm).removeprefix(f"{prefix}-")
        known = [(value, run.started) for run in runs if (value := published(run.report).get(name)) is not None]
        figure, at = known[-1] if known else (None, None)
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


GAPS = 3
"""How many spans without rows are named."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One limit of the monitors."""

    what: str
    """For example `error watching is off`."""
    why: str

    @property
    def sentence(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What the monitors' bounds of a model version rest on."""

    bounds: MonitoringBounds
    evaluation: Evaluation
    workload: Workload
    """The declaration as the run had it."""

    @property
    def is_in_time(self) -> bool:
        """Whether the history has windows. If not, random parts of the rows stand for windows."""
        return self.workload.training.split.by == "time"

    @property
    def stretches(self) -> int:
        """How many stretches of successive windows the history has, over the test days and the walk-forward models."""
        weeks = (*(frozen.weeks for frozen in self.evaluation.walk_forward), self.evaluation.weekly_error)
        series = [[week.error for week in each] for each in weeks]
        return len(stretches_of(series, self.workload.monitors.error_windows))


def read_watched(s3: Any, names: WorkloadNames, run: str) -> Watched | None:
    """What the bounds of the version that the train execution `run` made rest on.

    None if one of the run's files does not exist, or if its declaration has a former shape."""
    uris = (
        names.run_uri(run, BASELINE_FILE),
        names.run_uri(run, "evaluation", EVALUATION_FILE),
        names.run_uri(run, "config", "workload.yaml"),
    )
    baseline, evaluation, workload = (find_object(s3, uri) if run else None for uri in uris)
    if baseline is None or evaluation is None or workload is None:
        return None
    # A declaration of a former shape is no error here: its limits are just not known.
    with as_file(workload, "workload.yaml") as path, suppress(WorkloadError):
        return Watched(
            bounds=MonitoringBounds.model_validate_json(baseline),
            evaluation=Evaluation.model_validate_json(evaluation),
            workload=read_workload(path),
        )
    return None


def read_champion(environment: Environment, names: WorkloadNames) -> Watched | None:
    """The same for the live version; None if no version is live."""
    champion = ReleasePointers(state_of(environment, names)).champion()
    return read_watched(environment.client("s3"), names, champion.run) if champion else None


def find_limits(watched: Watched | None) -> tuple[Limit, ...]:
    """The limits of a model version's bounds; empty for None."""
    return tuple(_limits(watched)) if watched else ()


def _limits(watched: Watched) -> Iterator[Limit]:
    bounds, monitors = watched.bounds, watched.workload.monitors
    if bounds.error is None:
        yield Limit(what="error watching is off", why=f"no bound was set, {_why_unbounded(watched)}")
    elif watched.is_in_time and bounds.error.by_rows:
        # Ten labels of many rows tell a little less than ten that are all.
        few, usual = max((one for one in bounds.error.by_rows if one.rows < 10), key=lambda one: one.rows), bounds.error
        above = f"{few.bound:.2g} with ten labels in a window, {usual.bound:.2g} with all"
        yield Limit(
            what="an error alarms only above the test error's interval", why=f"{above}; {_why_unbounded(watched)}"
        )
    if not watched.is_in_time:
        why = "the rows are not split by time, and random parts of whole entities stand for windows"
        yield Limit(what="the false alarm rate is not promised", why=why)
    # The declared rate was found to hold from so many windows of history on.
    elif bounds.windows < PROMISED_WINDOWS:
        rate = f"{monitors.false_alarm_rate:g} for each window holds from {PROMISED_WINDOWS} windows of history on"
        part = Fraction(bounds.run, SLICES)
        widened = f", so bounds are widened to those of {part} of a window" if part < 1 else ""
        yield Limit(what="the false alarm rate is not promised", why=f"{rate}, {bounds.windows} were there{widened}")


def _why_unbounded(watched: Watched) -> str:
    """Why `error_bound` set no bound: too few stretches, or no stretch with an error in each of its windows."""
    length = watched.workload.monitors.error_windows
    if not watched.is_in_time:
        return f"no {length} windows in a row, drawn from the test rows, had an error in each"
    if watched.stretches < FEWEST:
        found = f"{watched.stretches} of the {FEWEST} stretches of {length} windows that a bound needs were there"
        return f"{found}{_without_rows(watched)}"
    return f"none of the {watched.stretches} stretches of {length} windows had an error in each window"


def _without_rows(watched: Watched) -> str:
    """The first spans between successive windows of the history that have no rows."""
    pairs = (pair for frozen in watched.evaluation.walk_forward for pair in pairwise(frozen.weeks))
    # A window without rows is not in the list, so the next one begins later than the one before ends.
    gaps = sorted({(one.end[:10], two.start[:10]) for one, two in pairs if one.end != two.start})
    return f"; no rows from {first_few([f'{first} to {last}' for first, last in gaps], GAPS)}" if gaps else ""
