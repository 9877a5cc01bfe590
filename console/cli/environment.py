"""Where a command works: the environment and the workload that its options name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.environment import Place
    from millrace.names import WorkloadNames


def find(stage: str, build: Path, workload: str) -> tuple[Place, WorkloadNames]:
    """Raises PlaceError when there is no such environment or workload. AWS's SDK is imported here, not for `--help`."""
    from console.environment import find_place

    place = find_place(stage, build)
    return place, place.names(workload)
