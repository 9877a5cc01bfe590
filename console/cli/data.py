"""`millrace data`: the versions of the tables, and how one is undone."""

from __future__ import annotations

from typing import Annotated

import typer

from millrace.console.cli.options import Json, Once, Target, grouped
from millrace.console.cli.printing import show_rows
from millrace.console.cli.records import Limit, Preview, Reason, take_out

data = typer.Typer(no_args_is_help=True, help="Show the versions of the tables, and undo a drop.")
Name = Annotated[str, typer.Argument(metavar="VERSION", help="As `millrace data log` names it: rows-12.")]
IN_JSON = ("source", "cause", "snapshot_id")
"""What only programs are told of a version."""


@data.command(cls=Once)
@grouped
def log(target: Target, as_json: Json, limit: Limit = 20) -> None:
    """List the versions of the tables, the newest first: what came or left, by whom, which models learnt from it.

    Example: millrace data log --limit 5"""
    from millrace.console.queries.data_versions import find_table_versions, with_people

    environment, names = target.find_deployed()
    versions = [*find_table_versions(environment, names).values()][: limit or None]
    rows = [*with_people(environment, names, versions)]
    shown = rows if as_json else [{key: row[key] for key in row if key not in IN_JSON} for row in rows]
    show_rows(shown, as_json=as_json, nothing="No file was dropped yet.")


@data.command(cls=Once)
@grouped
def revert(version: Name, target: Target, as_json: Json, reason: Reason, preview: Preview = False) -> None:
    """Undo a drop: its rows leave as by `millrace withdraw`, and a file whose place it took is dropped again.

    Example: millrace data revert rows-12 --reason "of another meter". The model versions that learnt from the rows are
    named."""
    from millrace.aws.objects import key_of_version
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
