"""What waits for people: decisions in the review queue, versions that nobody approves, alarms that nobody acts on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from millrace.aws.metrics import publish
from millrace.decisions.answered import Reviews
from millrace.functions.room import WorkloadRoom
from millrace.messages.events import AlarmUnanswered
from millrace.monitoring.alarms import notifying, starters
from millrace.names import WorkloadNames
from millrace.operations.alarms import REVIEW_AGE, SERVING, WAITING_REVIEWS, runbook
from millrace.release.registry import Registry
from millrace.settings.release import ReleaseSettings
from millrace.state.climbing import Climbing
from millrace.state.retraining import LastRetraining
from millrace.state.unanswered import UnansweredAlarm

MOST_COUNTED = 10_000
"""Waiting decisions are counted up to this number."""
MOST_ENDED = 500
"""The most decisions that one sweep ends: with ten consumers who are told they take it a minute."""


def end_reviews(room: WorkloadRoom[ReleaseSettings], reviews: Reviews, *, now: datetime) -> None:
    """Drop the labels of answers, and end the decisions that nobody answers in time. Publish how many others wait.

    A metric costs by the month, so none is published unless one waits: how many, and how long the oldest does as a
    share of its bound."""
    policy, queue = room.workload.policy, reviews.queue
    assert policy
    dropped = reviews.drop_labels(now=now)
    if "assisted" in room.workload.rollout.phases:
        # Nobody is asked any more about a version that has left the phase, however its release has ended.
        climbing = Climbing.find(room.state)
        on_phase = climbing.version if climbing and climbing.phase == "assisted" else None
        waiting = queue.waiting(most=MOST_ENDED, now=now)
        left = [one for one in waiting if one.is_challengers and one.model_version != on_phase]
        if withdrawn := sum(queue.withdraw(one.id, now=now) for one in left):
            room.logger.info("withdrawn", extra={"reviews": withdrawn})
    ended = queue.end_expired(now=now, most=MOST_ENDED)
    room.logger.info("reviews", extra={"labels": dropped, "ended": ended})
    if oldest := queue.oldest(now=now):
        age = (now - oldest) / timedelta(hours=policy.review.late_after_hours)
        figures = {WAITING_REVIEWS: queue.count(most=MOST_COUNTED, now=now), REVIEW_AGE: age}
        publish(figures, Workload=room.names.workload)


def refuse_overdue(room: WorkloadRoom[ReleaseSettings], registry: Registry, *, now: datetime) -> None:
    """Refuse each version that has waited so long that a person should have approved it by now, where one has to.

    SageMaker's event of it starts the release, which keeps the refusal in the audit and tells it."""
    if room.settings.approval != "person":
        return
    hours, pointers = room.workload.rollout.approval_hours, room.pointers.read()
    for package in list(registry.waiting()):
        if pointers.is_new(package.version) and package.decided_at + timedelta(hours=hours) <= now:
            registry.refuse(package, reason=f"nobody has approved it within {hours:g} hours")
            room.logger.warning("refused", extra={"version": package.version})


ESCALATED = 3
"""From this reminder on the message is an escalation to the workload's owner."""


def remind(
    room: WorkloadRoom[ReleaseSettings], cloudwatch: Any, *, hours: float, cause: str, as_of: datetime
) -> list[str]:
    """Put an event for each raised alarm whose reminder is due. Returns the alarms.

    The reminders come `hours`, 2, 4, 8, … × `hours` after the alarm was found raised. None comes once somebody has
    acknowledged the alarm, or once a retraining has started since, for an alarm that starts one."""
    raised, known = _raised(cloudwatch, room.names), UnansweredAlarm.every(room.state)
    for alarm in known.keys() - raised:
        known[alarm].end(room.state)
    retrained_at = LastRetraining.read(room.state).started_at if raised else None
    mended_by_retraining = starters(room.workload.retraining)
    sent = []
    for alarm in sorted(raised):
        one = known.get(alarm)
        if one is None:
            one = UnansweredAlarm(alarm=alarm, since=as_of)
            one.put(room.state)
        is_mended = alarm in mended_by_retraining and retrained_at is not None and retrained_at >= one.since
        if one.by or is_mended or as_of - one.since < timedelta(hours=hours * 2**one.told):
            continue
        room.tell(
            AlarmUnanswered,
            cause=cause,
            alarm=alarm,
            since=one.since,
            hours=int((as_of - one.since).total_seconds() // 3600),
            reminder=one.told + 1,
            urgency="escalation" if one.told + 1 >= ESCALATED else "reminder",
            owner=room.workload.owner,
            runbook=runbook(alarm),
        )
        # Counted after the event: if this write fails, the next sweep sends the event once more.
        one.remind(room.state)
        sent.append(alarm)
    return sent


def _raised(cloudwatch: Any, names: WorkloadNames) -> frozenset[str]:
    """The alarms in ALARM, without the workload's prefix."""
    prefix = f"{names.prefix}-"
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=prefix, StateValue="ALARM", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    found = [one for page in pages for one in (*page.get("MetricAlarms", []), *page.get("CompositeAlarms", []))]
    raised = (one["AlarmName"].removeprefix(prefix) for one in found if one["StateValue"] == "ALARM")
    return frozenset(raised).intersection((*notifying(), SERVING))
