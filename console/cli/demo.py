"""`millrace demo`: play a workload's story in a local cloud."""

from __future__ import annotations

from typing import Annotated

import typer

from millrace.console.cli.options import Build, several_workloads

Workloads = Annotated[
    list[str] | None,
    several_workloads("electricity", "Whose story is played; may be repeated."),
]
All = Annotated[
    bool,
    typer.Option(
        "--all", default_factory=lambda: False, show_default=False, help="Play every story, one after another."
    ),
]


def demo(build: Build, all_stories: All, workload: Workloads = None) -> None:
    """Deploy the templates into a local cloud and run a workload's story through them: months of real data.

    Example: millrace demo; millrace demo --workload xray; millrace demo --all. It ends with a table, build/demo.json
    and a page: build/report.html, or build/report-<workload>.html for another workload than electricity."""
    from millrace.console.demo.catalogue import STORIES, chosen
    from millrace.console.demo.run import run

    run(build, list(STORIES.values()) if all_stories else chosen(workload or ["electricity"]))
