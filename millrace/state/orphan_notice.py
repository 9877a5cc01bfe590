"""The event `endpoint.orphaned`, at most once a day: item `orphan-notice` (as_of).

An endpoint is orphaned if the release pointers do not name the version that it serves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from millrace.aws.bus import put_event
from millrace.messages.events import EndpointOrphaned
from millrace.names import WorkloadNames
from millrace.state.table import StateTable
from millrace.timestamps import parse_utc

ITEM = "orphan-notice"
EVERY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class OrphanNotice:
    """Sends the event. `events` is boto3's EventBridge client."""

    events: Any
    names: WorkloadNames
    state: StateTable

    def send(self, endpoint: str, *, cause: str, as_of: datetime) -> None:
        """Put the event, unless one was put in the last day. Raises QueueError if the bus refuses it."""
        last = self.state.get(ITEM)
        if last and as_of - parse_utc(last["as_of"]["S"]) < EVERY:
            return
        run = self.names.function_arn("sweep")
        event = EndpointOrphaned(workload=self.names.workload, run=run, cause=cause, endpoint=endpoint)
        put_event(self.events, self.names.platform, event)
        # Written after the event: if this write fails, the next sweep sends the event once more.
        self.state.put(ITEM, {"as_of": as_of})
