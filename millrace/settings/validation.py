"""What the validation function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class ValidationSettings(Environment):
    """Its workload and stage say it all."""
