"""What the decisions function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class DecisionsSettings(Environment):
    """It writes to the lake of its own environment; nothing more to say."""
