"""What the publication function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class PublishMetricsSettings(Environment):
    """Its workload and stage say it all."""
