"""One link of the chain from a decision to the dropped files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MISSING = "there is no such object"
"""The detail of a link whose object is gone."""
State = Literal["checked", "recorded", "broken"]


@dataclass(frozen=True, kw_only=True)
class Link:
    """One link of the chain from a decision to the dropped files."""

    what: str
    """What the link is: `decision`, `model version`, `drop`, …."""
    identity: str
    """Its id, URI or ARN."""
    digest: str | None
    """SHA-256 in hexadecimal digits; None if the link has no digest."""
    state: State
    """`checked`: computed again, or found. `recorded`: as the run stored it. `broken`: missing or different."""
    detail: str


def checked(what: str, identity: str, detail: str) -> Link:
    return Link(what=what, identity=identity, digest=None, state="checked", detail=detail)


def broken(what: str, identity: str, detail: str) -> Link:
    return Link(what=what, identity=identity, digest=None, state="broken", detail=detail)


def recorded(what: str, identity: str, known: str, detail: str) -> Link:
    return Link(what=what, identity=identity, digest=known, state="recorded", detail=detail)


def compared(what: str, identity: str, made: str, known: str, detail: str) -> Link:
    """The link is `checked` if the digest `made` now is the `known` one, else `broken`."""
    if made != known:
        return Link(
            what=what, identity=identity, digest=made, state="broken", detail=f"expected the digest {known}; {detail}"
        )
    return Link(what=what, identity=identity, digest=made, state="checked", detail=detail)
