"""What the delivery function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class DeliverySettings(Environment):
    """It reads and writes the lake of its own environment; nothing more to say."""
