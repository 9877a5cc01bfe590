"""Puts the labels that a monitor run wants or doubts into the review queue."""

from __future__ import annotations

from datetime import datetime, timedelta

from millrace.decisions.review import label_item
from millrace.functions.room import Room
from millrace.messages.monitor import MonitorReport
from millrace.settings.environment import Environment
from millrace.state.reviews import ReviewQueue
from millrace.state.wanted import StoredChoice


def ask_people(room: Room[Environment], report: MonitorReport, *, report_uri: str, now: datetime) -> int:
    """Put the decisions whose labels are wanted into the review queue. Returns how many.

    The chances are kept first: a label is never judged without the chance with which it was asked for."""
    windows = [one for one in report.windows if one.wanted]
    if room.workload.policy is None or not windows:
        return 0
    queue, until = ReviewQueue(room.dynamodb, room.names), now + timedelta(hours=room.workload.policy.review.hours)
    asked = 0
    for window in windows:
        StoredChoice(start=window.start, report_uri=report_uri, until=until).put(room.state)
        for one in window.wanted:
            if not one.is_known:
                queue.open(
                    label_item(one, "labels_wanted", version=report.model_version, opened_at=now, expires_at=until)
                )
                asked += 1
    return asked


def ask_again(room: Room[Environment], report: MonitorReport, *, now: datetime) -> int:
    """Put the labels that contradict the model most into the review queue, up to the quota. Returns how many.

    Of a decision that people were ever asked about, nobody is asked again: the next one moves up."""
    policy, errors = room.workload.policy, report.label_errors
    if policy is None or errors is None or not errors.doubted:
        return 0
    queue, until = ReviewQueue(room.dynamodb, room.names), now + timedelta(hours=policy.review.hours)
    # A run that is repeated finds its own items, and they count.
    known, asked = queue.find([one.id for one in errors.doubted]), 0
    for one in errors.doubted:
        if asked == errors.quota:
            break
        if one.id not in known:
            queue.open(label_item(one, "label_error", version=report.model_version, opened_at=now, expires_at=until))
        asked += one.id not in known or known[one.id].reason == "label_error"
    return asked
