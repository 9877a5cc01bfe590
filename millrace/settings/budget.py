"""What the budget function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class BudgetSettings(Environment):
    """Its workload and stage say it all."""
