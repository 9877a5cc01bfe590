"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from console.cli.completion import stages, workload_names

Build = Annotated[
    Path,
    typer.Option(
        default_factory=lambda: Path("build"),
        show_default="build",
        help="Everything that this machine writes lies below this folder.",
    ),
]
Stage = Annotated[
    str,
    typer.Option(
        default_factory=lambda: "local",
        show_default="local",
        envvar="MILLRACE_STAGE",
        autocompletion=stages,
        help="local (the cloud that `millrace up` keeps running), else dev, prod or one of your own (in the account of "
        "your credentials).",
    ),
]
Workload = Annotated[
    str,
    typer.Option(
        default_factory=lambda: "",
        show_default="the only one that is deployed",
        envvar="MILLRACE_WORKLOAD",
        autocompletion=workload_names,
        help="A folder of workloads/.",
    ),
]


def several_workloads(default: str, help_: str) -> Any:
    """The option `--workload` of a command that takes several. `default` says which ones it takes without it."""
    return typer.Option("--workload", show_default=default, autocompletion=workload_names, help=help_)


Json = Annotated[
    bool,
    typer.Option("--json", default_factory=lambda: False, show_default=False, help="Print JSON, for programs."),
]
Version = Annotated[str, typer.Argument(show_default="the live one", help="A version's number.")]
Sheet = Annotated[
    str, typer.Option(default_factory=lambda: "", show_default="the first", help="The sheet of a workbook.")
]
TableName = Annotated[
    str, typer.Option("--table", default_factory=lambda: "", show_default="the only one", help="A table of SQLite.")
]
Sql = Annotated[
    str, typer.Option("--sql", default_factory=lambda: "", show_default=False, help="A query of SQLite: its result.")
]

Long = Annotated[
    bool,
    typer.Option(
        "--long",
        help="A row for each horizon of a forecast, or for each of several labels, in place of lists.",
    ),
]


def split_words(text: str) -> tuple[str, ...]:
    """The words of an option that has several, with commas between."""
    return tuple(word.strip() for word in text.split(",") if word.strip())
