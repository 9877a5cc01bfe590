"""`millrace simulate`: what retraining policies would have cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.completion import workload_names
from millrace.console.cli.options import Build, Json, Stage, Target

if TYPE_CHECKING:
    from millrace.simulation.proposal import PolicyComparison

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
    usd_per_error: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=MOST_USD,
            show_default="as declared",
            help="What a wrong answer costs, if the policy has no costs.",
        ),
    ] = None,
    usd_per_training: Annotated[
        float | None,
        typer.Option(
            min=0, max=MOST_USD, show_default="what the stage's trainings cost", help="What a training costs."
        ),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the proposal into workload.yaml.")] = False,
) -> None:
    """Replay a workload's history under retraining policies: quality, money, retrainings, and a proposal.

    Versions of earlier days are trained on this machine once, and kept below build/simulations. A policy is chosen on
    the first two fifths of the days, and judged on the others, beside schedules, published rules, and the cheapest
    course in hindsight.

    Example: millrace simulate electricity --from 1996.parquet --usd-per-error 0.05"""
    from millrace.console.actions.declaration import lines_of, write_keys
    from millrace.console.actions.history import find_history, rows_of_files, rows_of_stage
    from millrace.console.actions.simulate import Prices, check_prices, keys_of, lengths, mean_usd, most_usd
    from millrace.console.actions.simulate import simulate as compared
    from millrace.console.cli.printing import show_json, show_rows
    from millrace.console.pages.simulated import simulated_page
    from millrace.contract.load import load_contract
    from millrace.tasks import catalogue as tasks
    from millrace.workload.load import load_workload, workloads_folder

    folder = workloads_folder() / workload
    declared = load_workload(folder)
    error_usd = declared.retraining.usd_per_error if usd_per_error is None else usd_per_error
    check_prices(declared, error_usd)
    if files:
        rows, price = rows_of_files(folder, files), most_usd(declared, stage)
    else:
        environment, names = Target(workload=workload, stage=stage, build=build).find()
        rows, price = rows_of_stage(environment, names, folder), mean_usd(environment, names, declared)
    price = price if usd_per_training is None else usd_per_training
    step = declared.monitors.window_days
    kept = build / "simulations" / workload
    history = find_history(folder, rows, train_days=lengths(declared), step_days=step, kept=kept)
    task = tasks.declare(declared.prediction, load_contract(folder).label)
    found = compared(declared, task, history, Prices(error=error_usd, training=price), stage)
    keys = keys_of(found.proposed, step)
    document = _document(found)
    if as_json:
        show_json({"rows": document, "proposed": lines_of(keys)})
    else:
        days = f"chosen on the days before {found.judged_from}, judged on those from then on"
        typer.echo(f"{found.tried} policies, {days}; a training costs {price:.2f}")
        show_rows([{name: _shown(name, value) for name, value in row.items()} for row in document],
                  as_json=False, nothing="")  # fmt: skip
        if not any(row.kind == "declared" for row in found.rows):
            typer.echo("The declared policy is not replayed: its bound is calibrated, or its schedule by the calendar.")
        typer.echo(f"\nThe proposal's lines for {folder / 'workload.yaml'}:\n\n{lines_of(keys)}")
        page = build / f"simulation-{workload}.html"
        page.write_text(simulated_page(workload, found, usd_per_training=price, lines=lines_of(keys)), encoding="utf-8")
        typer.echo(f"\n{page}")
    if write:
        write_keys(folder / "workload.yaml", keys)


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
