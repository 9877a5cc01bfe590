"""Events that a function puts on the bus; those of machines are put by their states."""

from __future__ import annotations

from typing import Any

from millrace.errors import QueueError
from millrace.messages.events import SOURCE, BusEvent
from millrace.names import Platform


def put_event(events: Any, platform: Platform, event: BusEvent) -> None:
    """`events` is boto3's EventBridge client. Raises QueueError when the bus refuses the event."""
    entry = {"EventBusName": platform.bus_arn, "Source": SOURCE, "DetailType": event.detail_type}
    answer = events.put_events(Entries=[entry | {"Detail": event.model_dump_json()}])
    if answer["FailedEntryCount"]:
        raise QueueError(f"the bus refused an event: {answer['Entries'][0]['ErrorMessage']}")
