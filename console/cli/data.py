"""The commands on tables: `millrace withdraw`, `data`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millrace.aws.objects import key_of_version
from millrace.console.cli.options import Json, Once, Target, grouped
from millrace.console.cli.printing import show_rows, tell
from millrace.console.cli.records import Limit
from millrace.console.stages import command
from millrace.console.words import count, listed
from millrace.errors import WithdrawalError

if TYPE_CHECKING:
    from millrace.console.environment import Environment
    from millrace.messages.withdrawal import WithdrawalRequest, Withdrawn
    from millrace.names import WorkloadNames

Reason = Annotated[str, typer.Option(help="Why, for the audit table.")]
Preview = Annotated[bool, typer.Option("--preview", help="Only say what would become of the rows.")]
data = typer.Typer(no_args_is_help=True, help="Show the versions of the tables, and undo a drop.")
Name = Annotated[str, typer.Argument(metavar="VERSION", help="As `millrace data log` names it: rows-12.")]
IN_JSON = ("source", "cause", "snapshot_id")
"""What only programs are told of a version."""


def withdraw(
    target: Target,
    as_json: Json,
    reason: Reason,
    key: Annotated[
        list[str] | None, typer.Option(help="COLUMN=CELL of the row's key; once for each column of the key.")
    ] = None,
    drop: Annotated[str, typer.Option(help="Of this dropped object: its key, or the end of it.")] = "",
    preview: Preview = False,
) -> None:
    """Take rows out of the tables: the next dataset version is without them, earlier ones stay as they were.

    Example: millrace withdraw --key timestamp=9999-12-31T00:00:00 --reason "a typing error". Rows that a label file has
    corrected stay, with their earlier label. What will become of how many rows is said first, on standard error; with
    --preview nothing else is done. The exit status is 1 when no row is found."""
    from millrace.console.actions.withdraw import find_drop, request_of

    # Wrong words are refused before anything is asked of AWS.
    pairs = [one.partition("=") for one in key or ()]
    if wrong := [name for name, sign, _ in pairs if not name or not sign]:
        raise WithdrawalError(f"--key: expected COLUMN=CELL, got {wrong[0]!r}")
    environment, names = target.find_deployed()
    cells, found = {name: cell for name, _, cell in pairs}, find_drop(environment, names, drop) if drop else ""
    take_out(environment, names, request_of(environment, reason=reason, key=cells, drop=found), preview, as_json)


def take_out(
    environment: Environment, names: WorkloadNames, request: WithdrawalRequest, preview: bool, as_json: bool
) -> None:
    """Say what becomes of the rows, do it unless it is a preview, and name the model versions that learnt from them."""
    from millrace.console.actions.withdraw import withdraw
    from millrace.console.queries.data_versions import find_table_versions

    done = withdraw(environment, names, request.model_copy(update={"is_preview": True}))
    versions = find_table_versions(environment, names).values() if request.drop else ()
    there = [one for one in versions if key_of_version(one.source) == request.drop and not one.left_with]
    learnt_by = sorted({version for one in there for version in one.learnt_by}, key=int)
    if not preview:
        typer.echo(f"Will withdraw: {_counts(done)}.", err=True)
        done = withdraw(environment, names, request)
    of = f" of {request.drop}" if request.drop else ""
    what = f"{'Would withdraw' if preview else 'Withdrawn'}: {_counts(done)}{of}."
    if learnt_by:
        what = f"{what} Learnt by version {listed(learnt_by)}; {command(names, 'train')} makes one without them."
    tell(what, done.model_dump() | ({"learnt_by": learnt_by} if request.drop else {}), as_json=as_json)


def _counts(answer: Withdrawn) -> str:
    again = f"; {count(answer.relabelled, 'row')} get their earlier label" if answer.relabelled else ""
    return f"{count(answer.rows, 'row')} and {count(answer.labels, 'label')}{again}"


@data.command(cls=Once)
@grouped
def log(
    target: Target,
    as_json: Json,
    limit: Limit = 20,
    where: Annotated[
        str, typer.Option(metavar="SQL", help="Only versions that brought rows for which it is true.")
    ] = "",
) -> None:
    """List the versions of the tables, the newest first: what came or left, by whom, which models learnt from it.

    Example: millrace data log --limit 5

    Example: millrace data log --where "timestamp = timestamp '1997-01-01 00:00:00'", of a row: the file that brought it
    and the models that learnt from it."""
    from millrace.console.queries.data_versions import find_sources, find_table_versions, with_people

    environment, names = target.find_deployed()
    versions = [*find_table_versions(environment, names).values()]
    if where:
        sources = find_sources(environment, names, where)
        versions = [
            one
            for one in versions
            if not one.left_with and one.version.startswith("rows") and key_of_version(one.source) in sources
        ]
    rows = [*with_people(environment, names, versions[: limit or None])]
    shown = rows if as_json else [{key: row[key] for key in row if key not in IN_JSON} for row in rows]
    show_rows(shown, as_json=as_json, nothing="No version brought such rows." if where else "No file was dropped yet.")


@data.command(cls=Once)
@grouped
def revert(version: Name, target: Target, as_json: Json, reason: Reason, preview: Preview = False) -> None:
    """Undo a drop: its rows leave as by `millrace withdraw`, and a file whose place it took is dropped again.

    Example: millrace data revert rows-12 --reason "of another meter". The model versions that learnt from the rows are
    named."""
    from millrace.console.actions.withdraw import check_revertible, drop_again, request_of
    from millrace.console.queries.data_versions import find_table_versions, require_version

    environment, names = target.find_deployed()
    versions = find_table_versions(environment, names)
    found = require_version(versions, version)
    check_revertible(found)
    before = [one for one in versions.values() if one.left_with == version]
    request = request_of(environment, reason=reason, key={}, drop=key_of_version(found.source))
    take_out(environment, names, request, preview, as_json)
    if before and not preview:
        drop_again(environment.client("s3"), before[0])
        typer.echo(f"Dropped again as it was before {version}: {request.drop}", err=True)
