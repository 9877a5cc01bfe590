"""What the sweep finds and tells of: failed runs nobody heard of, orphaned endpoints, a lag of the audit's chain.

**Failed runs** whose event Step Functions never delivered: AWS delivers these events as best effort only, and people
get their mails and posts by them. An event that came is noted in an item `reported#<ARN>`.

    07:00  a sweep has moved the cursor to 06:50
    07:20  train-7f fails, its event comes, and it is noted
    07:30  train-8a fails, and its event is lost
    08:00  the next sweep finds that both failed after 06:50. It tells of train-8a, since train-7f is noted. Then it
           moves the cursor to 07:50 and deletes the note of train-7f.

**Orphaned endpoints**, which serve a version that the release pointers do not name: the event `endpoint.orphaned`, at
most once a day. The item `orphan-notice` has the time of the last one.

**The audit's chain**: how far it lags behind the audit table is noted in the item `audit-chain` (records, lost, as_of).
The function that writes the chain cannot report a lag itself: it is not even called if Lambda may not read the table's
stream. So the sweep counts the links of the chain, and compares with the number of records of some hours ago:

    06:00  17 records              17 are noted
    09:00  17 links, 18 records    17 links for 17 noted records: no lag. Now 18 are noted
    12:00  17 links                17 links for 18 noted records: a record has waited for at least three hours

A record that waits for longer than the stream keeps it never becomes a link. It is then counted as `lost`, so that the
lag ends and a later one is noticed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import Any

from millrace.functions.room import Room
from millrace.messages.events import EndpointOrphaned, RunUnheard
from millrace.messages.execution import UNWANTED
from millrace.names import MACHINES, WorkloadNames
from millrace.state.audit import count
from millrace.state.audit_chain import AuditChain
from millrace.state.cursors import Cursor
from millrace.state.item import Item
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


def tell_unheard(room: Room[Any], states: Any, *, cause: str, as_of: datetime) -> tuple[str, ...]:
    """Put the event `run.unheard` for each failure without an event. Returns the ARNs of their executions.

    `states` is boto3's Step Functions client. Raises QueueError if the bus refuses an event. Then the cursor stays, and
    the next sweep tells of them all."""
    until = as_of - SETTLED
    since, reported = Cursor.end(room.state, CURSOR) or as_of - FIRST, ReportedFailure.every(room.state)
    failed = _failed(states, room.names, since, until)
    unheard = [one for one in failed if not _is_reported(one, reported)]
    # Events first, cursor last: if anything fails in between, an event may come twice, but none is missing.
    for one in unheard:
        told = {"name": one["name"], "machine": one["stateMachineArn"], "status": one["status"]}
        room.tell(RunUnheard, cause=cause, ended=one["stopDate"], **told)
    Cursor(name=CURSOR, window_end=until).put(room.state)
    for failure in reported.values():
        if failure.as_of <= until:
            failure.forget(room.state)
    return tuple(one["executionArn"] for one in unheard)


def _failed(states: Any, names: WorkloadNames, since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    """The executions of every machine that failed, timed out or were stopped in that time."""
    pages = states.get_paginator("list_executions")
    for machine, status in product(MACHINES, UNWANTED):
        wanted = {"stateMachineArn": names.machine_arn(machine), "statusFilter": status}
        try:
            for page in pages.paginate(**wanted, PaginationConfig={"PageSize": PAGE}):
                yield from (one for one in page["executions"] if since < one["stopDate"] <= until)
        except states.exceptions.StateMachineDoesNotExist:
            continue  # each stack is deployed on its own, so a machine may not exist yet


def _is_reported(one: dict[str, Any], reported: dict[str, ReportedFailure]) -> bool:
    """Whether the event of this end has come. An execution that was redriven may have failed twice, with two events."""
    event = reported.get(one["executionArn"])
    return event is not None and event.as_of >= one["stopDate"] - TOLERANCE


@dataclass(frozen=True, kw_only=True)
class ReportedFailure(Item, key="reported#{execution_arn}"):
    """A failed execution with an event. It is kept until the sweep has looked at the time of the event."""

    execution_arn: str
    as_of: datetime
    """The time of the event."""

    def forget(self, table: StateTable) -> None:
        """Delete the note."""
        # The condition keeps a note that was written since: the execution was redriven and has failed again.
        table.delete(self.sort_key(self.execution_arn), "as_of <= :as_of", as_of=self.as_of)


NOTICE_EVERY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class OrphanNoted(Item, key="orphan-notice"):
    """The last event."""

    as_of: datetime


def tell_orphan(room: Room[Any], endpoint: str, *, cause: str, as_of: datetime) -> None:
    """Put the event, unless one was put in the last day. Raises QueueError if the bus refuses it."""
    last = OrphanNoted.find(room.state)
    if last and as_of - last.as_of < NOTICE_EVERY:
        return
    room.tell(EndpointOrphaned, cause=cause, endpoint=endpoint)
    # Written after the event: if this write fails, the next sweep sends the event once more.
    OrphanNoted(as_of=as_of).put(room.state)


COUNT_EVERY = timedelta(hours=3)
"""The least time between two counts. Each count reads all of the workload's records in the audit table."""
KEPT = timedelta(hours=24)
"""How long a stream keeps a record: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html"""
NONE = timedelta()


@dataclass(frozen=True, kw_only=True)
class AuditNote(Item, key="audit-chain"):
    """The last count."""

    records: int
    lost: int
    as_of: datetime


def audit_lag(room: Room[Any], chain: AuditChain, as_of: datetime) -> timedelta:
    """How long at least a record of the workload has been in the table without a link. Zero if none lacks its link.

    Nothing is counted until the last note is COUNT_EVERY old. A record that the stream no longer keeps is reported once
    more and then counts as lost; `millrace audit verify` names it."""
    noted = AuditNote.find(room.state)
    if noted is None:
        _note(room, lost=0, as_of=as_of)
        return NONE
    age = as_of - noted.as_of
    # Too early: records of the last hours may be on their way to the chain, and a count reads many items.
    if age < COUNT_EVERY:
        return NONE
    # As long as links are missing the note stays, so `age` grows and the lag with it.
    missing = noted.records - noted.lost - chain.length()
    if missing <= 0:
        _note(room, lost=noted.lost, as_of=as_of)
        return NONE
    # The missing records were in the table by the time of the note, so the stream has dropped them by now.
    if age > KEPT + COUNT_EVERY:
        _note(room, lost=noted.lost + missing, as_of=as_of)
    return age


def _note(room: Room[Any], *, lost: int, as_of: datetime) -> None:
    records = count(room.dynamodb, table=room.names.platform.audit_table, workload=room.names.workload)
    AuditNote(records=records, lost=lost, as_of=as_of).put(room.state)
