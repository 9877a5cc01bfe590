"""`millrace doctor`: compare this machine and the account with what the templates need."""

from __future__ import annotations

from typing import Annotated

import typer

from millrace.console.cli.completion import workload_names
from millrace.console.cli.options import Build, Json, Stage
from millrace.console.cli.printing import show

Workload = Annotated[
    str,
    typer.Option(
        "--workload",
        envvar="MILLRACE_WORKLOAD",
        show_default="all",
        autocompletion=workload_names,
        help="Only the needs of this folder of workloads/.",
    ),
]


def doctor(stage: Stage, build: Build, as_json: Json, workload: Workload = "") -> None:
    """Compare this machine and the account with the needs of the templates; each gap has its remedy.

    Example: millrace doctor --stage dev. It compares the SageMaker instances that workload.yaml names, Lambda's
    concurrency and the roles with the account's quotas. The exit status is 1 when something is missing."""
    from millrace.console.doctor.examination import examine, is_good
    from millrace.errors import EnvironmentNotFoundError
    from millrace.workload.load import read_workloads, workloads_folder

    # A workload that cannot be read is named and left out, so that the gaps of the others are still found.
    workloads, broken = read_workloads(workloads_folder())
    for error in broken:
        typer.echo(f"left out: {error}", err=True)
    if workload and workload not in (known := [one.name for one in workloads]):
        raise EnvironmentNotFoundError(f"--workload: expected one of {known}, got {workload!r}")
    examined = [one for one in workloads if workload in ("", one.name)]
    checks = list(examine(stage, build, examined))
    show(checks, as_json=as_json, nothing="")
    if not is_good(checks):
        raise typer.Exit(1)
