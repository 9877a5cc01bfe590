"""`millrace init`: writes the repository of a team that uses the suite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(file_okay=False, help="The new folder; its name is that of the project.")]
Npm = Annotated[bool, typer.Option(help="Install the CDK's command line into it, by `npm install`.")]


def init(folder: Folder, npm: Npm = True) -> None:
    """Begin a repository of your own: workloads, stages and pipeline, with this version of the suite beside it.

    Example: millrace init shop && cd shop && millrace new --help"""
    from millrace.console.new.project import install, write_project

    for path in write_project(folder):
        print(path)
    if npm:
        install(folder)
    print(f"\nNext:\n\n  cd {folder}\n  millrace new NAME --from FILE --label COLUMN")
