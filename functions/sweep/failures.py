"""Finds failed executions whose event Step Functions never delivered, and tells of them.

AWS delivers these events as best effort only, and people get their mails and posts by them.

    07:00  a sweep has moved the cursor to 06:50
    07:20  train-7f fails, its event comes, and it is noted
    07:30  train-8a fails, and its event is lost
    08:00  the next sweep finds that both failed after 06:50. It tells of train-8a, since train-7f is noted. Then it
           moves the cursor to 07:50 and deletes the note of train-7f.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from millrace.aws.bus import put_event
from millrace.messages.events import RunUnheard
from millrace.messages.execution import UNWANTED
from millrace.names import MACHINES, WorkloadNames
from millrace.state.cursors import Cursor
from millrace.state.reported_failures import ReportedFailure
from millrace.state.table import StateTable

CURSOR = "failed-runs"
FIRST = timedelta(hours=1)
"""How far back the first sweep looks."""
SETTLED = timedelta(minutes=10)
"""The time after an execution's end before it is looked at. Until then its event may be on its way, and the list of
executions may lack it."""
TOLERANCE = timedelta(minutes=1)
"""How much earlier than the end the time of an event may be. An event has whole seconds only."""
PAGE = 1000
"""The most executions in one answer: https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html"""


@dataclass(frozen=True, kw_only=True)
class UnheardFailures:
    """Tells of failures without an event.

    `states` and `events` are boto3's clients of Step Functions and EventBridge."""

    states: Any
    events: Any
    names: WorkloadNames
    state: StateTable

    def tell(self, *, cause: str, as_of: datetime) -> tuple[str, ...]:
        """Put the event `run.unheard` for each failure without an event. Returns the ARNs of their executions.

        Raises QueueError if the bus refuses an event. Then the cursor stays, and the next sweep tells of them all."""
        until = as_of - SETTLED
        since, reported = Cursor.end(self.state, CURSOR) or as_of - FIRST, ReportedFailure.every(self.state)
        unheard = [one for one in self._failed(since, until) if not _is_reported(one, reported)]
        # Events first, cursor last: if anything fails in between, an event may come twice, but none is missing.
        for one in unheard:
            put_event(self.events, self.names.platform, self._event(one, cause))
        Cursor(name=CURSOR, window_end=until).put(self.state)
        for failure in reported.values():
            if failure.as_of <= until:
                failure.forget(self.state)
        return tuple(one["executionArn"] for one in unheard)

    def _failed(self, since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
        """The executions of every machine that failed, timed out or were stopped in that time."""
        for machine in MACHINES:
            for status in UNWANTED:
                for one in self._listed(machine, status):
                    if since < one["stopDate"] <= until:
                        yield one

    def _listed(self, machine: str, status: str) -> Iterator[dict[str, Any]]:
        pages = self.states.get_paginator("list_executions").paginate(
            stateMachineArn=self.names.machine_arn(machine),
            statusFilter=status,
            PaginationConfig={"PageSize": PAGE},
        )
        try:
            for page in pages:
                yield from page["executions"]
        except self.states.exceptions.StateMachineDoesNotExist:
            return  # each stack is deployed on its own, so a machine may not exist yet

    def _event(self, one: dict[str, Any], cause: str) -> RunUnheard:
        return RunUnheard(
            workload=self.names.workload,
            run=self.names.function_arn("sweep"),
            cause=cause,
            name=one["name"],
            machine=one["stateMachineArn"],
            status=one["status"],
            ended=one["stopDate"],
        )


def _is_reported(one: dict[str, Any], reported: dict[str, ReportedFailure]) -> bool:
    """Whether the event of this end has come. An execution that was redriven may have failed twice, with two events."""
    event = reported.get(one["executionArn"])
    return event is not None and event.as_of >= one["stopDate"] - TOLERANCE
