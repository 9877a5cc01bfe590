"""Where a command works: the environment and the workload that its options name."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from console.environment import Environment
    from millrace.names import WorkloadNames


def find_deployed(stage: str, build: Path, workload: str) -> tuple[Environment, WorkloadNames]:
    """As `find`, for a command on what a deployment makes: the first client that the environment is asked for raises
    EnvironmentNotFoundError, with the command that deploys, where the workload is not deployed.

    Words that cannot be used are told before, without a call."""
    from console.queries.executions import require_deployed

    environment, names = find(stage, build, workload)

    @cache
    def check() -> None:
        require_deployed(environment.client("stepfunctions"), names)

    def client(service: str) -> Any:
        check()
        return environment.client(service)

    return replace(environment, client=client), names


def find(stage: str, build: Path, workload: str) -> tuple[Environment, WorkloadNames]:
    """The environment and the workload's names; raises EnvironmentNotFoundError when one of them does not exist.

    AWS's SDK is imported here, so that `--help` does not wait for it."""
    from console.environment import find_environment

    environment = find_environment(stage, build)
    return environment, environment.names(workload)
