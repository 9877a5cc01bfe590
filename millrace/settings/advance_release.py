"""What the conclusion function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class AdvanceReleaseSettings(Environment):
    """Its workload and stage say it all."""
