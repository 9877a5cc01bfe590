"""`millrace upgrade`: what the installed version would change in a deployed stage."""

from __future__ import annotations

import typer

from millrace.console.cli.options import Build, Json, Stage
from millrace.console.cli.printing import show


def upgrade(stage: Stage, build: Build, as_json: Json) -> None:
    """Tell what the installed version would change in a stage.

    It deploys nothing, `cdk deploy` does. The exit status is 1 where a resource would be replaced, or one with data
    would be left behind.

    Example: pip install -U millrace; millrace upgrade --stage dev"""
    from millrace.console.environment import find_environment
    from millrace.console.queries.upgrade import find_changes

    changes = find_changes(find_environment(stage, build), build)
    show(changes, as_json=as_json, nothing=f"The installed version changes nothing in {stage}.")
    if refused := [f"{one.stack}: {one.resource} ({one.type}) is {one.change}" for one in changes if one.is_refused]:
        typer.echo("\n".join(["Refused, as what is there would be lost or left behind:", *refused]), err=True)
        raise typer.Exit(1)
