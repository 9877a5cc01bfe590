"""What the opening function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class StartReleaseSettings(Environment):
    """Its workload and stage say it all."""
