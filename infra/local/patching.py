"""The one way in which fillers replace members of moto's classes and modules."""

from __future__ import annotations

from typing import Any


def replace(owner: Any, **members: Any) -> None:
    """Set each member on a class or a module of moto, whatever its declared type."""
    for name, value in members.items():
        setattr(owner, name, value)
