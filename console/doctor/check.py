"""The result of one check of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "absent", "missing", "unknown"]
"""How a requirement was found:

- `ok`: it is met.
- `missing`: it is not met, and a newcomer cannot go on.
- `absent`: it is not there and need not be.
- `unknown`: it could not be looked at from here, or it is not known to hold."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One requirement and whether it is met."""

    name: str
    needed: str
    """What is required, in words."""
    found: str
    """What there is, in words."""
    verdict: Verdict
    advice: str
    """What to do about it; empty if nothing has to be done."""
