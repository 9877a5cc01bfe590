"""`millrace plan`: what an edit leads to, before anything is deployed or trained."""

from __future__ import annotations

from typing import Annotated

import typer

from millrace.console.cli.options import Build, Json, Stage, chosen_folders, several_workloads
from millrace.console.cli.printing import show
from millrace.workload.load import workloads_folder

Workloads = Annotated[list[str] | None, several_workloads("all", "Only this folder of workloads/; may be repeated.")]
Against = Annotated[
    str, typer.Option(metavar="COMMIT", show_default="what is deployed", help="Compare with a commit, such as HEAD.")
]


def plan(stage: Stage, build: Build, as_json: Json, workload: Workloads = None, against: Against = "") -> None:
    """Tell what your edits of workloads/ lead to: trainings, judgements, deployments, with minutes and dollars.

    It changes nothing. The exit status is 1 where an edit is refused, or where CloudFormation would make anew what is
    there.

    Example: millrace plan --stage dev; millrace plan --against origin/main. Against a stage the templates are compared,
    too, and each model with what its version was trained by; a commit needs no cloud."""
    from millrace.console.environment import find_environment
    from millrace.console.queries.plan import plan_deployed, plan_on_paper
    from millrace.console.queries.upgrade import synthesized

    folders = chosen_folders(workload)
    if against:
        steps = plan_on_paper(folders, against, stage)
    else:
        environment = find_environment(stage, build)
        steps = plan_deployed(environment, folders, synthesized(environment, build))
    show(steps, as_json=as_json, nothing=f"{workloads_folder()}/ has no workload.")
    if any(one.step in ("refused", "replace") for one in steps):
        raise typer.Exit(1)
