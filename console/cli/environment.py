"""Finds the environment and the workload that the options of a command name."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from console.environment import Environment
    from millrace.names import WorkloadNames


def find_deployed(stage: str, build: Path, workload: str) -> tuple[Environment, WorkloadNames]:
    """The environment and the workload's names, for a command that needs a deployed workload.

    The first client that is requested of the environment raises EnvironmentNotFoundError if the workload is not
    deployed, with the command that deploys it. So the command can refuse wrong options before any call to AWS. Raises
    EnvironmentNotFoundError at once if environment or workload do not exist (see `find`)."""
    from console.queries.executions import require_deployed

    environment, names = find(stage, build, workload)

    # Cached: the check is one call to AWS, made for the first client alone.
    @cache
    def check() -> None:
        require_deployed(environment.client("stepfunctions"), names)

    def client(service: str) -> Any:
        check()
        return environment.client(service)

    return replace(environment, client=client), names


def find(stage: str, build: Path, workload: str) -> tuple[Environment, WorkloadNames]:
    """The environment and the workload's names. Raises EnvironmentNotFoundError if one of them does not exist.

    AWS's SDK is imported in here, so that `--help` does not wait for it."""
    from console.environment import find_environment

    environment = find_environment(stage, build)
    return environment, environment.names(workload)
