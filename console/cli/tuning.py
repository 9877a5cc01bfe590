"""The commands that try: `millrace tune` hyperparameters, `simulate` retraining policies."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.options import Build, Json, Stage, Target, workload_names
from millrace.console.cli.printing import show_json, show_rows
from millrace.errors import RunError
from millrace.workload.load import load_workload, workloads_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millrace.console.queries.tunings import TuningJob
    from millrace.simulation.proposal import PolicyComparison
    from millrace.workload.declaration import Workload as Declaration


POLL_S = 2.0
"""Seconds between two looks at the job."""
FAILURE = 60
"""Most characters of a failure in the table."""


def tune(
    target: Target,
    json: Json,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            metavar="NAME=VALUE",
            help="Train once, with this hyperparameter, its value in JSON; may be repeated.",
        ),
    ] = None,
    result: Annotated[
        str, typer.Option("--result", metavar="NAME", help="Start nothing: show this tuning, or the newest for `last`.")
    ] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Come back when all trainings have ended, with the result.")
    ] = False,
) -> None:
    """Search for better hyperparameters on the rows of the newest training run.

    `tuning` of workload.yaml says which; without it rates of learning and decay, and dropout, are searched. With
    --parameter one training is made.

    It is a tuning job of SageMaker with the image, role and instances of the machine `train`. Nothing is registered and
    no file is changed: the result ends with the lines for workload.yaml.

    Example: millrace tune --wait

    Example: millrace tune --parameter learning_rate=0.005 --parameter 'hidden=[128, 128]' --wait

    Example: millrace tune --result last"""
    from millrace.console.actions import tune as action
    from millrace.console.queries.tunings import pinned_run, read_tuning

    environment, names = target.find()
    folder = workloads_folder() / names.workload
    declared, sagemaker = load_workload(folder), environment.client("sagemaker")
    # With --result nothing is started.
    if result:
        _show(read_tuning(sagemaker, names, "" if result == "last" else result), declared, as_json=json)
        return
    chosen = dict(_parameter(text) for text in parameter or [])
    source = pinned_run(environment, names)
    started = action.tune(environment, names, declared, folder=folder, source=source, chosen=chosen)
    if not json:
        typer.echo(f"tuning {started.name} started: {started.jobs} trainings on the rows of {started.source}, "
                   f"at most {started.most_usd:.2f} USD")  # fmt: skip
    found = _wait(sagemaker, names, started.name) if wait else read_tuning(sagemaker, names, started.name)
    if wait or json:
        _show(found, declared, as_json=json)
    if wait and found.best is None:
        raise typer.Exit(1)


def _parameter(text: str) -> tuple[str, Any]:
    """Name and value of `NAME=VALUE`. A value that is no JSON is a word. Raises RunError if the text has no `=`."""
    from millrace.workload.tuning import value_of

    name, equals, value = text.partition("=")
    if not equals:
        raise RunError(f"--parameter: expected NAME=VALUE, got {text!r}")
    return name, value_of(value)


def _wait(sagemaker: Any, names: Any, name: str) -> TuningJob:
    from millrace.console.queries.tunings import read_tuning

    while (found := read_tuning(sagemaker, names, name)).status == "RUNNING":
        time.sleep(POLL_S)
    return found


def _show(found: TuningJob, declared: Declaration, *, as_json: bool) -> None:

    # `asdict` has the fields alone, and the best training is a property.
    if as_json:
        show_json({**asdict(found), "best": found.best and asdict(found.best)})
        return
    rows = [
        {
            "training": training.job.removeprefix(f"{found.name}-"),
            "status": training.status,
            found.metric: training.value,
            "seconds": None if training.seconds is None else round(training.seconds, 1),
            **{key: str(value) for key, value in training.hyperparameters.items()},
            **({"failure": training.failure[:FAILURE]} if any(one.failure for one in found.trainings) else {}),
        }
        for training in found.trainings
    ]
    typer.echo(f"tuning {found.name}: {found.status}")
    show_rows(rows, as_json=False, nothing="No training has begun.")
    if found.best is not None:
        told = f"The best one's lines for workloads/{declared.name}/workload.yaml"
        typer.echo(f"\n{told}:\n\n{lines_for(declared, found.best.hyperparameters)}")


def lines_for(declared: Declaration, chosen: Mapping[str, Any]) -> str:
    """The lines of workload.yaml with which later trainings use the chosen hyperparameters."""
    import yaml

    parameters = {**declared.training.parameters, **chosen}
    flow = yaml.safe_dump(parameters, default_flow_style=True, sort_keys=False, width=10_000).strip()
    return f"training:\n  parameters: {flow}"


MOST_USD = 1e12
"""With more, sums of costs have no digits left."""


def simulate(
    workload: Annotated[str, typer.Argument(autocompletion=workload_names, help="A folder of workloads/.")],
    stage: Stage,
    build: Build,
    as_json: Json,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Labelled rows; repeated. Without it the rows of the stage's newest training run.",
        ),
    ] = None,
    usd_per_training: Annotated[
        float | None,
        typer.Option(
            min=0, max=MOST_USD, show_default="what the stage's trainings cost", help="What a training costs."
        ),
    ] = None,
) -> None:
    """Replay a workload's history under retraining policies: quality, money, retrainings, and a proposal.

    Versions of earlier days are trained on this machine once, and kept below build/simulations. A policy is chosen on
    the first two fifths of the days, and judged on the others, beside schedules and the cheapest course in hindsight.

    A wrong answer costs what `retraining.usd_per_error` says, or the costs of the policy.

    Example: millrace simulate electricity --from 1996.parquet"""
    from millrace.console.actions.simulate import (
        check_prices,
        find_history,
        keys_of,
        lengths,
        lines_of,
        most_usd,
        rows_of_files,
        rows_of_stage,
    )
    from millrace.console.actions.simulate import simulate as compared
    from millrace.console.queries.plan import find_work
    from millrace.contract.load import load_contract
    from millrace.tasks import catalogue as tasks

    folder = workloads_folder() / workload
    declared = load_workload(folder)
    check_prices(declared)
    if files:
        rows, price = rows_of_files(folder, files), most_usd(declared, stage)
    else:
        environment, names = Target(workload=workload, stage=stage, build=build).find()
        rows, price = rows_of_stage(environment, names, folder), find_work(environment, names, declared)["retrain"].usd
    price = price if usd_per_training is None else usd_per_training
    step = declared.monitors.window_days
    kept = build / "simulations" / workload
    history = find_history(folder, rows, train_days=lengths(declared), step_days=step, kept=kept)
    found = compared(declared, tasks.declare(declared.prediction, load_contract(folder).label), history, price, stage)
    keys = keys_of(found.proposed, step, declared.retraining.alarms)
    if as_json:
        show_json({"rows": _document(found), "proposed": lines_of(keys)})
    else:
        _tell(found, folder / "workload.yaml", price, lines_of(keys))


def _tell(found: PolicyComparison, file: Path, price: float, lines: str) -> None:
    days = f"chosen on the days before {found.judged_from}, judged on those from then on"
    typer.echo(f"{found.tried} policies, {days}; a training costs {price:.2f}")
    rows = [{name: _shown(name, value) for name, value in row.items()} for row in _document(found)]
    show_rows(rows, as_json=False, nothing="")
    if not any(row.kind == "declared" for row in found.rows):
        typer.echo("The declared policy is not replayed: its bound is calibrated, or its schedule by the calendar.")
    typer.echo(f"\nThe proposal's lines for {file}:\n\n{lines}")


def _document(found: PolicyComparison) -> list[dict[str, Any]]:
    best = found.best.usd
    return [
        {
            "policy": row.name,
            "kind": row.kind,
            "error": row.course.error,
            "retrainings": len(row.course.retrainings),
            "cost": row.course.usd,
            "over_hindsight": row.course.usd / best if best else None,
        }
        for row in found.rows
    ]


def _shown(name: str, value: Any) -> Any:
    if value is None or name not in ("error", "cost", "over_hindsight"):
        return value
    return f"{value:.4f}" if name == "error" else f"{value:.2f}"
