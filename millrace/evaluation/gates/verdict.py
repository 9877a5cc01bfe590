"""What a gate says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One gate's judgement; a measured value that is no number never passes."""

    name: str
    passed: bool
    measured: float
    bound: float
    sentence: str
    """What was measured against what, for a person."""
