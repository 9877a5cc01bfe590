"""`millrace experiment`: one training by hand, which no machine starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.environment import find
from console.cli.options import Build, Json, Stage, Workload

if TYPE_CHECKING:
    from console.queries.by_hand import ExperimentJob

POLL_S = 2.0
"""Seconds between two looks at the job."""


def experiment(
    workload: Workload,
    stage: Stage,
    build: Build,
    json: Json,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", metavar="NAME=VALUE", help="A hyperparameter, its value in JSON; repeated."),
    ] = None,
    result: Annotated[
        str, typer.Option("--result", metavar="NAME", help="Start nothing: show this one, or the newest for `last`.")
    ] = "",
    run: Annotated[
        str, typer.Option("--run", metavar="RUN", help="Train on the rows of this run, by its whole name.")
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Come back when it has ended, with its figures.")] = False,
) -> None:
    """Train once with other hyperparameters, on the rows of the newest training run; nothing is registered.

    It is a training job with the image, role, network and instances of the machine `train`.

    Example: millrace experiment --parameter learning_rate=0.005 --parameter 'hidden=[128, 128]' --wait"""
    from console.actions.experiment import experiment as start
    from console.cli.tuning import lines_for
    from console.queries.by_hand import pinned_run, read_experiment
    from millrace.workload.load import load_workload, workloads_folder

    environment, names = find(stage, build, workload)
    folder, sagemaker = workloads_folder() / names.workload, environment.client("sagemaker")
    # With --result nothing is started.
    if result:
        _show(read_experiment(sagemaker, names, "" if result == "last" else result), as_json=json)
        return
    chosen = dict(_parameter(text) for text in parameter or [])
    source = pinned_run(environment, names, run)
    name = start(environment, names, load_workload(folder), folder=folder, source=source, parameters=chosen)
    if not json:
        typer.echo(f"experiment {name} started on the rows of {source.run}")
    found = _wait(sagemaker, names, name) if wait else read_experiment(sagemaker, names, name)
    if wait or json:
        _show(found, as_json=json)
    if wait and not json and chosen and found.status == "SUCCEEDED":
        told = f"Its lines for workloads/{names.workload}/workload.yaml"
        typer.echo(f"\n{told}:\n\n{lines_for(load_workload(folder), chosen)}")
    if wait and found.status != "SUCCEEDED":
        raise typer.Exit(1)


def _parameter(text: str) -> tuple[str, Any]:
    """Name and value of `NAME=VALUE`. A value that is no JSON is a word. Raises RunError if the text has no `=`."""
    import json

    from millrace.errors import RunError

    name, equals, value = text.partition("=")
    if not equals:
        raise RunError(f"--parameter: expected NAME=VALUE, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _wait(sagemaker: Any, names: Any, name: str) -> ExperimentJob:
    import time

    from console.queries.by_hand import read_experiment

    while (found := read_experiment(sagemaker, names, name)).status == "RUNNING":
        time.sleep(POLL_S)
    return found


def _show(found: ExperimentJob, *, as_json: bool) -> None:
    from dataclasses import asdict

    from console.cli.printing import show_json, show_rows

    if as_json:
        show_json({**asdict(found), "seconds": found.seconds})
        return
    typer.echo(f"experiment {found.name}: {found.status}{f', {found.failure}' if found.failure else ''}")
    if found.model_data_url:
        typer.echo(found.model_data_url)
    rows = [{"metric": name, "value": value} for name, value in found.metrics.items()]
    show_rows(rows, as_json=False, nothing="No figures yet.")
