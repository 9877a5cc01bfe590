"""What follows from a monitor's report: metrics, alarms that stay, who answers, and what people are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from millrace.decisions.review import item_of
from millrace.functions.room import WorkloadRoom
from millrace.messages.monitor import FloorFound, MonitorReport
from millrace.monitoring.alarms import COUNT_ALARMS, RATIO_ALARMS, ratios
from millrace.names import WorkloadNames
from millrace.settings.environment import Environment
from millrace.state.reviews import ReviewQueue
from millrace.state.versions import FloorState
from millrace.state.wanted import StoredChoice
from millrace.workload.policy import Floor

JUDGED = "WindowsJudged"
"""The metric of how many windows were judged. It has no alarm."""


def metrics_of(report: MonitorReport) -> dict[str, float]:
    """The figures by their metrics' names: the ratios that are known, how many windows were judged, and the counts.

    They have no timestamp, so AWS takes the present. The event time of the windows may be years away."""
    figures = {RATIO_ALARMS[name].metric: ratio for name, ratio in ratios(report).items()}
    counts = {JUDGED: report.judged} | {alarm.metric: alarm.count(report) for alarm in COUNT_ALARMS.values()}
    return {name: float(value) for name, value in (figures | counts).items() if value is not None}


def staying(alarms: Sequence[Mapping[str, Any]], report: MonitorReport, names: WorkloadNames) -> tuple[str, ...]:
    """The names of the `alarms` that were in ALARM before and that the report does not end.

    CloudWatch only sends an event when the state changes. So nothing else requests a retraining for these alarms."""
    # A report without a figure (None) does not end an alarm.
    published = {names.alarm(name): ratio for name, ratio in ratios(report).items()}
    found = [alarm["AlarmName"] for alarm in alarms if alarm["StateValue"] == "ALARM"]
    return tuple(name for name in found if (ratio := published.get(name)) is None or ratio > 1)


def floor_after(
    found: FloorFound | None,
    known: FloorState | None,
    floor: Floor | None,
    *,
    version: str,
    since: datetime | None,
    as_of: datetime,
) -> tuple[FloorState, FloorFound] | None:
    """What is kept of the version, and who answered before and answers now; None if nothing is to be kept.

    A later run's stays. If the rule answers since an alarm, labels of the time from `since` on decide, or the end of
    the alarm."""
    if known and known.as_of > as_of:
        return None
    waits = known is not None and known.awaits_labels
    if known and waits and since is None and found is None:
        found = FloorFound(below=False, before=True, labels=0, own=0, rule=0, days=known.days)
    if found is None:
        return None
    moved = found.model_copy(update={"before": found.before or waits})
    state = FloorState(version=version, below=found.below, since=as_of, as_of=as_of, days=found.days)
    if waits and since and floor and state.labels_since(since) < floor.labels:
        state, moved = replace(state, below=True, awaits_labels=True), moved.model_copy(update={"below": True})
    return (replace(state, since=known.since) if known and known.below == state.below else state), moved


def ask_people(room: WorkloadRoom[Environment], report: MonitorReport, *, report_uri: str, now: datetime) -> int:
    """Put the decisions whose labels are wanted into the review queue. Returns how many.

    The chances are kept first: a label is never judged without the chance with which it was asked for."""
    windows = [one for one in report.windows if one.wanted]
    if room.workload.policy is None or not windows:
        return 0
    queue, review, asked = ReviewQueue(room.dynamodb, room.names), room.workload.policy.review, 0
    until = now + timedelta(hours=review.hours)
    for window in windows:
        StoredChoice(start=window.start, report_uri=report_uri, until=until).put(room.state)
        for one in window.wanted:
            if not one.is_known:
                queue.open(item_of(one, review, reason="labels_wanted", version=report.model_version, opened_at=now))
                asked += 1
    return asked


def ask_again(room: WorkloadRoom[Environment], report: MonitorReport, *, now: datetime) -> int:
    """Put the labels that contradict the model most into the review queue, up to the quota. Returns how many.

    Of a decision that people were ever asked about, nobody is asked again: the next one moves up."""
    policy, errors = room.workload.policy, report.label_errors
    if policy is None or errors is None or not errors.doubted:
        return 0
    queue, review = ReviewQueue(room.dynamodb, room.names), policy.review
    # A run that is repeated finds its own items, and they count.
    known, asked = queue.find([one.id for one in errors.doubted]), 0
    for one in errors.doubted:
        if asked == errors.quota:
            break
        if one.id not in known:
            queue.open(item_of(one, review, reason="label_error", version=report.model_version, opened_at=now))
        asked += one.id not in known or known[one.id].reason == "label_error"
    return asked
