"""Reminds of alarms on which nobody has acted: the event `alarm.unanswered`, which later calls the owner."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from millrace.aws.bus import put_event
from millrace.messages.events import AlarmUnanswered
from millrace.monitoring.alarms import reminded, starters
from millrace.names import WorkloadNames
from millrace.operations.alarms import runbook
from millrace.state.retraining import Retrainings
from millrace.state.table import StateTable
from millrace.state.unanswered import UnansweredAlarm

ESCALATED = 3
"""From this reminder on the message is an escalation to the workload's owner."""


@dataclass(frozen=True, kw_only=True)
class Reminders:
    """`cloudwatch` and `events` are boto3's clients."""

    cloudwatch: Any
    events: Any
    names: WorkloadNames
    state: StateTable
    owner: str

    def send(self, *, hours: float, cause: str, as_of: datetime) -> list[str]:
        """Put an event for each raised alarm whose reminder is due. Returns the alarms.

        The reminders come `hours`, 2, 4, 8, … × `hours` after the alarm was found raised. None comes once somebody has
        acknowledged the alarm, or once a retraining has started since, for an alarm that starts one."""
        raised, known = self._raised(), UnansweredAlarm.every(self.state)
        for alarm in known.keys() - raised:
            known[alarm].end(self.state)
        retrained_at = Retrainings(self.state).last().started_at if raised else None
        sent = []
        for alarm in sorted(raised):
            one = known.get(alarm)
            if one is None:
                one = UnansweredAlarm(alarm=alarm, since=as_of)
                one.put(self.state)
            is_mended = alarm in starters() and retrained_at is not None and retrained_at >= one.since
            if one.by or is_mended or as_of - one.since < timedelta(hours=hours * 2**one.told):
                continue
            put_event(self.events, self.names.platform, self._event(alarm, one, cause=cause, as_of=as_of))
            # Counted after the event: if this write fails, the next sweep sends the event once more.
            one.remind(self.state)
            sent.append(alarm)
        return sent

    def _event(self, alarm: str, one: UnansweredAlarm, *, cause: str, as_of: datetime) -> AlarmUnanswered:
        return AlarmUnanswered(
            workload=self.names.workload,
            run=self.names.function_arn("sweep"),
            cause=cause,
            alarm=alarm,
            since=one.since,
            hours=int((as_of - one.since).total_seconds() // 3600),
            reminder=one.told + 1,
            urgency="escalation" if one.told + 1 >= ESCALATED else "reminder",
            owner=self.owner,
            runbook=runbook(alarm),
        )

    def _raised(self) -> frozenset[str]:
        """The alarms in ALARM, without the workload's prefix."""
        prefix = f"{self.names.prefix}-"
        pages = self.cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNamePrefix=prefix, StateValue="ALARM", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        found = [one for page in pages for one in (*page.get("MetricAlarms", []), *page.get("CompositeAlarms", []))]
        names = (one["AlarmName"].removeprefix(prefix) for one in found if one["StateValue"] == "ALARM")
        return reminded().intersection(names)
