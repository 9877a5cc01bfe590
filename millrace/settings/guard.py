"""What the guard function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class GuardSettings(Environment):
    """Its workload and stage say it all."""
