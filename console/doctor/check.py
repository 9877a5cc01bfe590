"""The result of one check of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from millrace.console.columns import column

Verdict = Literal["ok", "absent", "missing", "unknown"]
"""How a requirement was found:

- `ok`: it is met.
- `missing`: it is not met, and a newcomer cannot go on.
- `absent`: it is not there and need not be.
- `unknown`: it could not be looked at from here, or it is not known to hold."""
MARKS = {"ok": "✓", "absent": "·", "missing": "✗", "unknown": "?"}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One requirement and whether it is met."""

    name: str = column(heading="what")
    needed: str = column()
    """What is required, in words."""
    found: str = column()
    """What there is, in words."""
    verdict: Verdict = column(MARKS.__getitem__, heading="", first=True)
    advice: str = column(heading="do")
    """What to do about it; empty if nothing has to be done."""
