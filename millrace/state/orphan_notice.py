"""The event `endpoint.orphaned`, at most once a day: item `orphan-notice` (as_of).

An endpoint is orphaned if the release pointers do not name the version that it serves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from millrace.aws.bus import put_event
from millrace.messages.events import EndpointOrphaned
from millrace.names import WorkloadNames
from millrace.state.item import Item
from millrace.state.table import StateTable

EVERY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class OrphanNoted(Item, key="orphan-notice"):
    """The last event."""

    as_of: datetime


@dataclass(frozen=True, kw_only=True)
class OrphanNotice:
    """Sends the event. `events` is boto3's EventBridge client."""

    events: Any
    names: WorkloadNames
    state: StateTable

    def send(self, endpoint: str, *, cause: str, as_of: datetime) -> None:
        """Put the event, unless one was put in the last day. Raises QueueError if the bus refuses it."""
        last = OrphanNoted.find(self.state)
        if last and as_of - last.as_of < EVERY:
            return
        run = self.names.function_arn("sweep")
        event = EndpointOrphaned(workload=self.names.workload, run=run, cause=cause, endpoint=endpoint)
        put_event(self.events, self.names.platform, event)
        # Written after the event: if this write fails, the next sweep sends the event once more.
        OrphanNoted(as_of=as_of).put(self.state)
