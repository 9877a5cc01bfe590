"""Where a command works: the environment and the workload that its options name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.environment import Environment
    from millrace.names import WorkloadNames


def find(stage: str, build: Path, workload: str) -> tuple[Environment, WorkloadNames]:
    """The environment and the workload's names; raises EnvironmentNotFoundError when one of them does not exist.

    AWS's SDK is imported here, so that `--help` does not wait for it."""
    from console.environment import find_environment

    environment = find_environment(stage, build)
    return environment, environment.names(workload)
