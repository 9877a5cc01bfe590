"""What the closing function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class CleanupSettings(Environment):
    """Its workload and stage say it all."""
