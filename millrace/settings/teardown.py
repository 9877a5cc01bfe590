"""What the teardown function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class TeardownSettings(Environment):
    """Its workload and stage say it all."""
