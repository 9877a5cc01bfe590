"""`millrace`: its commands, signals and exit status."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from millrace.console.cli.assistant import mcp
from millrace.console.cli.audit import access, audit, incident, query
from millrace.console.cli.data import contract, data
from millrace.console.cli.erasure import erase
from millrace.console.cli.first_report import try_
from millrace.console.cli.installation import console, demo, doctor, init, part, schemas
from millrace.console.cli.local import clock, down, restore, up
from millrace.console.cli.models import bom, card, dossier, plan, register, validate, verify, versions
from millrace.console.cli.monitoring import alarms, consumers, dead, monitor
from millrace.console.cli.new import new
from millrace.console.cli.options import Once, grouped
from millrace.console.cli.predict import drop, openapi, predict
from millrace.console.cli.records import cost, decisions, quarantine, report, why
from millrace.console.cli.review import held, labels, review
from millrace.console.cli.runs import rerun, retrain, runs, show, train
from millrace.console.cli.status import approve, automate, live, logs, pull, refuse, release, rollback, status
from millrace.console.cli.tuning import simulate, tune
from millrace.console.stages import ACT_AS
from millrace.errors import MillraceError
from millrace.people import ROLES

SIGNALS = (signal.SIGINT, signal.SIGTERM)


app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)

PANELS = {
    "The first hour": (try_, init, new, schemas, up, drop, predict, openapi, versions),
    "Runs": (status, runs, show, logs, rerun, train, retrain, register, tune, simulate),
    "Models": (plan, validate, approve, refuse, release, live, rollback, pull, card, bom, verify, dossier, part),
    "Operations": (
        alarms,
        monitor,
        clock,
        automate,
        review,
        held,
        labels,
        consumers,
        dead,
        cost,
        report,
        console,
        doctor,
        demo,
        down,
        restore,
    ),
    "Records": (decisions, why, quarantine, query, access, erase, mcp),
}
"""The commands by their group of `--help`, in the order in which they are listed."""
for panel, commands in PANELS.items():
    for command in commands:
        app.command(command.__name__.rstrip("_"), cls=Once, rich_help_panel=panel)(grouped(command))
app.add_typer(audit, name="audit", rich_help_panel="Records")
app.add_typer(incident, name="incident", rich_help_panel="Operations")
app.add_typer(data, name="data", rich_help_panel="Records")
app.add_typer(contract, name="contract", rich_help_panel="The first hour")


def _version(is_wanted: bool) -> None:
    """Print the version of the installed package and end."""
    if is_wanted:
        print(f"millrace {version('millrace')}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
]


As = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="ROLE/NAME",
        envvar=ACT_AS,
        help="Act in a session of this role, for example to approve what another person asked for. The local cloud "
        f"makes {', '.join(ROLES)} for the workload.",
    ),
]


@app.callback()
def main(_: Version = False, role: As = "") -> None:
    """Deep learning in production on AWS primitives; the deployed templates also run whole on this machine."""
    os.environ[ACT_AS] = role
    for number in SIGNALS:
        signal.signal(number, _interrupt)


def run() -> NoReturn:
    """The process `millrace`: run the command, then end without finalizing the interpreter.

    While the interpreter is finalized, Arrow's threads may abort a process that has just read a Parquet file. That was
    seen in 29 of 40 processes."""
    ended: str | int | None = 0
    try:
        typed()
    except SystemExit as end:
        ended = end.code
    if isinstance(ended, str):
        print(ended, file=sys.stderr)
    # `os._exit` skips what the interpreter does at its end, so flush the streams and run the exit functions here.
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads it any more
            stream.flush()
    atexit._run_exitfuncs()
    os._exit(1 if isinstance(ended, str) else ended or 0)


def typed() -> None:
    """Run the typed command. An error of ours or of AWS becomes one paragraph on stderr and exit status 1."""
    try:
        app()
    except MillraceError as error:
        sys.exit(f"millrace: {error}")
    except ModuleNotFoundError as error:
        sys.exit(f"millrace: {error.name} is not installed, and this command needs it: pip install 'millrace[all]'")
    except EndpointConnectionError as error:
        sys.exit(f"millrace: AWS: {error}{_dead_cloud()}")
    except (ClientError, BotoCoreError) as error:
        sys.exit("; ".join([f"millrace: AWS: {error}", *filter(None, getattr(error, "__notes__", ()))]))


def _dead_cloud() -> str:
    """Advice for the case that the shell still names a local cloud that has ended; "" if it names none."""
    if not (url := os.environ.get("AWS_ENDPOINT_URL")):
        return ""
    again = 'eval "$(millrace up --export)"'
    return f". AWS_ENDPOINT_URL of this shell names {url}: `unset AWS_ENDPOINT_URL`, or {again} again"


def _interrupt(number: int, _: object) -> NoReturn:
    """End the command at the first signal. Later signals are ignored while it cleans up."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)
