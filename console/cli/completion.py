"""Completes names in a shell: of workloads, stages, feeds, machines, events of the audit and runs.

Nothing is printed. If names cannot be looked up, the shell completes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from millrace.errors import MillraceError
from millrace.names import EVERY_MACHINE, MACHINE_OF_FEED, STAGES, TUNE
from millrace.workload.load import workload_folders, workloads_folder

RUNS = 50
"""So many of the newest runs are completed."""


def workload_names(incomplete: str) -> list[str]:
    """The names of the workloads' folders."""
    return _beginning(incomplete, [folder.name for folder in workload_folders(workloads_folder())])


def stages(incomplete: str) -> list[str]:
    return _beginning(incomplete, STAGES)


def feeds(incomplete: str) -> list[str]:
    return _beginning(incomplete, MACHINE_OF_FEED)


def machines(incomplete: str) -> list[str]:
    return _beginning(incomplete, (*EVERY_MACHINE, TUNE))


def label_kinds(incomplete: str) -> list[str]:
    """The kinds of labels of `millrace new --kind`."""
    from millrace.console.new.kinds import LABEL_KINDS

    return _beginning(incomplete, LABEL_KINDS)


def audit_events(incomplete: str) -> list[str]:
    """The events of `millrace audit list --event`."""
    from millrace.messages.audit import AuditEvent

    return _beginning(incomplete, AuditEvent)


def runs(ctx: click.Context, incomplete: str) -> list[tuple[str, str]]:
    """The newest runs of the workload that the line names, each with its machine and status."""
    from botocore.exceptions import BotoCoreError, ClientError

    from millrace.console.environment import find_environment
    from millrace.console.queries.runs import list_runs

    # The options that stand in the line so far; click has None for the others.
    given = {name: ctx.params.get(name) for name in ("stage", "build", "workload")}
    try:
        environment = find_environment(given["stage"] or "local", given["build"] or Path("build"))
        found = list_runs(environment.client("stepfunctions"), environment.names(given["workload"] or ""), limit=RUNS)
    except (MillraceError, BotoCoreError, ClientError):
        return []
    return [(run.name, f"{run.machine}, {run.status}") for run in found if run.name.startswith(incomplete)]


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
