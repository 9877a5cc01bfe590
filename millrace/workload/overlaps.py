"""Names of workloads that cannot be beside each other: roles may touch what begins with the name of theirs."""

from __future__ import annotations

from collections.abc import Iterable


def overlaps(name: str, others: Iterable[str]) -> list[str]:
    """Those of the others that begin with `name` and an underscore, or with which and an underscore `name` begins.

    `cold` and `cold_2` overlap: the names of AWS have dashes, and `millrace-dev-cold-*` holds what is of both."""
    return [other for other in others if other.startswith(f"{name}_") or name.startswith(f"{other}_")]
