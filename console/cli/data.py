"""The commands on tables: `millrace data`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millrace.aws.objects import key_of_version
from millrace.console.cli.options import Json, Once, Target, grouped
from millrace.console.cli.printing import show_rows, tell
from millrace.console.cli.records import Limit
from millrace.console.stages import command
from millrace.console.words import count, listed

if TYPE_CHECKING:
    from millrace.messages.withdrawal import Withdrawn

Reason = Annotated[str, typer.Option(help="Why, for the audit table.")]
Preview = Annotated[bool, typer.Option("--preview", help="Only say what would become of the rows.")]
data = typer.Typer(no_args_is_help=True, help="Show the versions of the tables, and undo a drop.")
Name = Annotated[str, typer.Argument(metavar="VERSION", help="As `millrace data log` names it: rows-12.")]
IN_JSON = ("source", "cause", "snapshot_id")
"""What only programs are told of a version."""


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
    """Undo a drop: the next dataset version is without its rows, and a file whose place it took is dropped again.

    Example: millrace data revert rows-12 --reason "of another meter". Earlier dataset versions stay as they were, and
    rows that a label file has corrected, with their earlier label. What will become of how many rows is said first, on
    standard error; with --preview nothing else is done. The model versions that learnt from the rows are named."""
    from millrace.console.actions.withdraw import by_person, call, check_revertible, drop_again
    from millrace.console.queries.data_versions import find_table_versions, require_version
    from millrace.messages.withdrawal import WithdrawalRequest, Withdrawn

    environment, names = target.find_deployed()
    versions = find_table_versions(environment, names)
    found = require_version(versions, version)
    check_revertible(found)
    before = [one for one in versions.values() if one.left_with == version]
    drop = key_of_version(found.source)
    request = WithdrawalRequest(**by_person(environment, "withdraw", reason), drop=drop)
    function = names.function("withdrawal")
    done = call(environment, function, request.model_copy(update={"is_preview": True}), Withdrawn)
    there = [one for one in versions.values() if key_of_version(one.source) == drop and not one.left_with]
    learnt_by = sorted({version for one in there for version in one.learnt_by}, key=int)
    if not preview:
        typer.echo(f"Will withdraw: {_counts(done)}.", err=True)
        done = call(environment, function, request, Withdrawn)
    what = f"{'Would withdraw' if preview else 'Withdrawn'}: {_counts(done)} of {drop}."
    if learnt_by:
        what = f"{what} Learnt by version {listed(learnt_by)}; {command(names, 'train')} makes one without them."
    tell(what, done.model_dump() | {"learnt_by": learnt_by}, as_json=as_json)
    if before and not preview:
        drop_again(environment.client("s3"), before[0])
        typer.echo(f"Dropped again as it was before {version}: {drop}", err=True)
