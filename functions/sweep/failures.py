"""Failed executions of which Step Functions' event never came: it is best effort, and mails and posts are made of it.

07:00  cursor at 06:50
07:20  train-7f fails, its event comes     noted
07:30  train-8a fails, its event is lost
08:00  both are listed, ended since 06:50  train-8a is told; cursor at 07:50, the note goes"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from millrace.aws.bus import put_event
from millrace.messages.events import RunUnheard
from millrace.messages.execution import UNWANTED
from millrace.names import MACHINES, WorkloadNames
from millrace.state.cursors import StoredCursors
from millrace.state.reported_failures import ReportedFailures

CURSOR = "failed-runs"
FIRST = timedelta(hours=1)
"""So far back the first look goes."""
SETTLED = timedelta(minutes=10)
"""After an end: until then its event may be on its way, and the list of executions may lack it."""
TOLERANCE = timedelta(minutes=1)
"""The time of an event is whole seconds."""
PAGE = 1000
"""Executions in an answer: https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html"""


@dataclass(frozen=True, kw_only=True)
class UnheardFailures:
    """`states` and `events` are boto3's clients of Step Functions and EventBridge."""

    states: Any
    events: Any
    names: WorkloadNames
    cursors: StoredCursors
    reported: ReportedFailures

    def tell(self, *, cause: str, as_of: datetime) -> tuple[str, ...]:
        """Put an event for each; the executions that were told. Raises QueueError when the bus refuses one.

        Then the cursor stays, and the next look tells all of them again."""
        until = as_of - SETTLED
        since, reported = self.cursors.find(CURSOR) or as_of - FIRST, self.reported.find()
        unheard = [one for one in self._failed(since, until) if not _is_reported(one, reported)]
        for one in unheard:
            put_event(self.events, self.names.platform, self._event(one, cause))
        self.cursors.advance(CURSOR, end=until)
        self.reported.forget(reported, until=until)
        return tuple(one["executionArn"] for one in unheard)

    def _failed(self, since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
        """What ended in that time and was not to end so, of every machine that is deployed."""
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
            return  # each stack is deployed on its own

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


def _is_reported(one: dict[str, Any], reported: dict[str, datetime]) -> bool:
    """An execution that was redriven and failed again has an event of each end."""
    at = reported.get(one["executionArn"])
    return at is not None and at >= one["stopDate"] - TOLERANCE
