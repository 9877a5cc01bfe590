"""What the conclusion function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class ConclusionSettings(Environment):
    """Its workload and stage say it all."""
