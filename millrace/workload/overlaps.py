"""Which names of workloads cannot be in one stage together.

The role of a workload may touch every resource whose name begins with the workload's. So no name may begin another."""

from __future__ import annotations

from collections.abc import Iterable

WHY_NOT = "the roles of one workload could touch the resources of the other"
"""Why such names are refused, for error messages."""


def overlaps(name: str, others: Iterable[str]) -> list[str]:
    """The names among `others` that overlap with `name`: one of the two begins with the other and an underscore.

    Example: `cold` and `cold_2` overlap. In AWS's names an underscore is a dash, so `millrace-dev-cold-*` means the
    resources of both. `cold` and `colder` do not overlap."""
    return [other for other in others if other.startswith(f"{name}_") or name.startswith(f"{other}_")]
