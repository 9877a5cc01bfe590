"""The rooms of a workload: one stack each; add a room here."""

from __future__ import annotations

from infra.stacks.workload import WorkloadStack

ROOMS: tuple[type[WorkloadStack], ...] = ()
