"""What the probe function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class SmokeTestSettings(Environment):
    """Its workload and stage say it all."""
