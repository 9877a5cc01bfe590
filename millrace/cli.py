"""The command line: `millrace demo`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

SIGNALS = (signal.SIGINT, signal.SIGTERM)
app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)

Build = Annotated[Path, typer.Option(help="Everything the local cloud writes lies below this folder.")]


@app.callback()
def main() -> None:
    """Deep learning in production on AWS primitives; the deployed templates also run whole on this machine."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)


@app.command()
def demo(build: Build = Path("build")) -> None:
    """Deploy the templates into a local cloud and live through fourteen months of real data.

    Example: millrace demo. It ends with a table, build/demo.json and build/report.html."""
    from millrace.demo.run import run

    run(build)


def _interrupt(number: int, _: object) -> NoReturn:
    """The first signal ends the command; the end is not cut short by another."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    app()
