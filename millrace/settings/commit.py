"""What the commit function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class CommitSettings(Environment):
    """Its workload and stage say it all."""
