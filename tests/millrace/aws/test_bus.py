"""An event that the bus refuses is an error: the answer of the call itself is a success."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millrace.aws.bus import put_event
from millrace.errors import QueueError
from millrace.messages.events import EndpointOrphaned
from millrace.names import Platform

PLATFORM = Platform(stage="local", account="123456789012", region="eu-west-1")
EVENT = EndpointOrphaned(workload="plant", run="arn", cause="a", endpoint="live")


class Bus:
    """EventBridge, which refuses every entry for the reason `refuses`."""

    def __init__(self, refuses: str = "") -> None:
        self.entries: list[dict[str, Any]] = []
        self._refuses = refuses

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.entries += Entries
        return {"FailedEntryCount": int(bool(self._refuses)), "Entries": [{"ErrorMessage": self._refuses}]}


def test_the_event_is_put_by_its_class() -> None:
    bus = Bus()
    put_event(bus, PLATFORM, EVENT)
    (entry,) = bus.entries
    assert (entry["EventBusName"], entry["Source"]) == (PLATFORM.bus_arn, "millrace")
    assert (entry["DetailType"], json.loads(entry["Detail"])["endpoint"]) == ("endpoint.orphaned", "live")


def test_a_refused_event_is_an_error() -> None:
    with pytest.raises(QueueError, match="the bus refused an event: too large"):
        put_event(Bus("too large"), PLATFORM, EVENT)
