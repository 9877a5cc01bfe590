"""What one look of the doctor comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "missing", "unknown"]
"""`missing` stops a newcomer; `unknown`: it could not be looked at from here."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that must be there."""

    name: str
    needed: str
    found: str
    verdict: Verdict
    advice: str
    """What to do; empty when there is nothing to do."""
