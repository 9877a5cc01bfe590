"""What the validation function is told."""

from __future__ import annotations

from millrace.settings.drop import DropEnvironment


class ValidationSettings(DropEnvironment):
    """The limit of a drop, its workload and stage say it all."""
