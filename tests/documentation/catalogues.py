"""The catalogues of the product: where an X is added, what is written for it, and which test then asks it unasked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """One kind of X. `<name>` in a path stands for the new one."""

    what: str
    folder: str
    """The file or folder that is written."""
    file: str
    catalogue: str
    """The name in `file` that gets a line."""
    protocol: str
    """The class or protocol that is written."""
    test: str


CATALOGUES: tuple[Catalogue, ...] = ()
