"""Puts the event of a service on a bus."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def deliver(event: dict[str, Any], *, bus: str) -> None:
    """Offer the event to each rule of the bus, and return before anything is delivered.

    `bus` is a name or an ARN; account and region are those that the event names. The rules' deliveries wait in the
    queue of `localcloud/kernel/dispatcher.py`."""
    models: Any = import_module("moto.events.models")
    backend = models.events_backends[event["account"]][event["region"]]
    # A copy: another thread may put or delete a rule meanwhile.
    for rule in list(backend.describe_event_bus(bus.rsplit("/", 1)[-1]).rules.values()):
        rule.send_to_targets(event)
