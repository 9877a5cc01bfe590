"""`millrace report`: a workload's state as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.environment import find
from console.cli.options import Build, Stage, Workload

Output = Annotated[
    Path | None,
    typer.Option(show_default="report-<workload>-<stage>.html in the build folder", help="The HTML file to write."),
]


def report(workload: Workload, stage: Stage, build: Build, output: Output = None) -> None:
    """Write a workload's state as one HTML page: models with gates and curves, drift, error, runs, lineage, cost.

    Example: millrace report --stage dev --output report.html. It reads the newest 100 runs of each machine."""
    from console.pages.page import page
    from console.queries.report import question_of, read_report
    from millrace.workload.load import workloads_folder

    environment, names = find(stage, build, workload)
    question = question_of(workloads_folder() / names.workload / "workload.yaml")
    html = page(read_report(environment, names, question=question))
    path = output or build / f"report-{names.workload}-{stage}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    print(path)
