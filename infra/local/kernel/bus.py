"""Put a service's event on a bus."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def deliver(event: dict[str, Any], *, bus: str) -> None:
    """Offer the event to each rule of the bus (a name or an ARN) in the event's own account and region; returns before
    anything is delivered."""
    models: Any = import_module("moto.events.models")
    backend = models.events_backends[event["account"]][event["region"]]
    for rule in list(backend.describe_event_bus(bus.rsplit("/", 1)[-1]).rules.values()):
        rule.send_to_targets(event)
