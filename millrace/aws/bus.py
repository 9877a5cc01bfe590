"""Puts an event of a function on the stage's bus. A machine puts its events by its own states."""

from __future__ import annotations

from typing import Any

from millrace.errors import QueueError
from millrace.messages.events import SOURCE, BusEvent
from millrace.names import Platform


def put_event(events: Any, platform: Platform, event: BusEvent) -> None:
    """Put the event on the bus of the stage. Raises QueueError if the bus refuses it.

    `events` is boto3's EventBridge client."""
    entry = {"EventBusName": platform.bus_arn, "Source": SOURCE, "DetailType": event.detail_type}
    answer = events.put_events(Entries=[entry | {"Detail": event.model_dump_json()}])
    # PutEvents answers a refused entry with 200 and counts it.
    if answer["FailedEntryCount"]:
        raise QueueError(f"the bus refused an event: {answer['Entries'][0]['ErrorMessage']}")
