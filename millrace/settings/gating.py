"""What the gating function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class GatingSettings(Environment):
    """Its workload and stage say it all."""
