"""`millrace register`: have an external model judged and released."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.environment import find_deployed
from console.cli.options import Build, Json, Stage, Workload
from console.cli.runs import AsOf, Wait, end

Folder = Annotated[Path, typer.Argument(help="A folder with model.onnx, its data files and signature.json.")]


def register(
    folder: Folder,
    workload: Workload,
    stage: Stage,
    build: Build,
    json: Json,
    as_of: AsOf = "",
    wait: Wait = False,
) -> None:
    """Have an external model judged, registered and released by the same gates and steps as a trained one.

    The graph takes the tensors of the workload's features, and gives the numbers of which the task makes its answers. A
    graph with other inputs or outputs is refused here. One that fails on real rows is refused by the machine.

    Example: millrace register my_model --wait"""
    from console.actions.register import read_model
    from console.actions.register import register as start
    from console.cli.follow import when
    from millrace.workload.load import workloads_folder

    moment = when(as_of, "--as-of")
    environment, names = find_deployed(stage, build, workload)
    model = read_model(folder, workloads_folder() / names.workload)
    run = start(environment.client("s3"), environment.client("stepfunctions"), names, model, as_of=moment)
    end(environment, names, run, how="started", wait=wait, as_json=json)
