"""The finding of a rule: where, what was expected, what came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One place that breaks a rule."""

    where: str
    """Stack and resource, or machine and state."""
    expected: str
    came: Any

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, got {self.came!r}"
