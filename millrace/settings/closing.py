"""What the closing function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class ClosingSettings(Environment):
    """Its workload and stage say it all."""
