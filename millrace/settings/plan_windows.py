"""What the windows function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class PlanWindowsSettings(Environment):
    """Its workload and stage say it all."""
