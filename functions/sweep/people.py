"""What waits for people: decisions in the review queue, and versions that nobody has approved."""

from __future__ import annotations

from datetime import datetime, timedelta

from millrace.aws.metrics import publish
from millrace.decisions.answered import Reviews
from millrace.functions.room import Room
from millrace.operations.alarms import REVIEW_AGE, WAITING_REVIEWS
from millrace.release.promotion import outcome_of
from millrace.release.registry import Registry
from millrace.settings.release import ReleaseSettings
from millrace.state.climbing import Climbing

MOST_COUNTED = 10_000
"""Waiting decisions are counted up to this number."""
MOST_ENDED = 1000
"""The most decisions that one sweep ends: they take it half a minute."""


def end_reviews(room: Room[ReleaseSettings], reviews: Reviews, *, now: datetime) -> None:
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


def refuse_overdue(room: Room[ReleaseSettings], registry: Registry, *, now: datetime) -> None:
    """Refuse each version that has waited so long that a person should have approved it by now, where one has to.

    SageMaker's event of it starts the release, which keeps the refusal in the audit and tells it."""
    if room.settings.approval != "person":
        return
    hours, pointers = room.workload.rollout.approval_hours, room.pointers.read()
    for package in list(registry.waiting()):
        waits = outcome_of(pointers, package.version, turn="open") == "open"
        if waits and package.decided_at + timedelta(hours=hours) <= now:
            registry.refuse(package, reason=f"nobody has approved it within {hours:g} hours")
            room.logger.warning("refused", extra={"version": package.version})
