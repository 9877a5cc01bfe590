"""`millrace console`: all workloads of a stage in a browser of this machine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from millrace.console.cli.options import Build, Stage


def console(
    stage: Stage,
    build: Build,
    port: Annotated[
        int, typer.Option(min=0, max=65535, show_default="a free one", help="The port on this machine.")
    ] = 0,
) -> None:
    """Serve all workloads of a stage, with what waits for whom, and each one's report, to a browser of this machine.

    Example: millrace console --stage prod. It prints an address that opens the console once. What it shows is what your
    own credentials may read. Ctrl-C ends it."""
    from millrace.console.environment import find_environment
    from millrace.console.web.server import serve

    serve(find_environment(stage, build), port=port, said=_say)


def _say(url: str) -> None:
    print(url, flush=True)
    print("Open it in a browser of this machine; it works once. Ctrl-C ends the console.", file=sys.stderr)
