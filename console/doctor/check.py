"""The result of one check of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "absent", "missing", "unknown"]
"""`missing` stops a newcomer; `absent`: it is not there and need not be; `unknown`: it could not be looked at from
here, or is not known to hold."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One requirement and whether it is met."""

    name: str
    needed: str
    found: str
    verdict: Verdict
    advice: str
    """The remedy; empty when none is needed."""
