"""The commands on tables and their contracts: `millrace data` and `millrace contract`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.aws.objects import key_of_version
from millrace.console.cli.options import Json, Once, Reason, Target, Within, Workload, feeds, grouped, only_folder
from millrace.console.cli.printing import show_rows, tell
from millrace.console.cli.records import Limit
from millrace.console.files.catalogue import TABLES
from millrace.console.stages import command
from millrace.console.words import count, listed
from millrace.contract.load import load_contract
from millrace.errors import DropError
from millrace.workload.load import load_workload, workloads_folder

if TYPE_CHECKING:
    from millrace.datasets.tables import Change
    from millrace.messages.withdrawal import Withdrawn

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


BECOMES: Mapping[Change, str] = {
    "added": "the next drop adds it; older rows hold nothing in it",
    "removed": "it stays in the table; new rows hold nothing in it",
    "renamed": "the next drop renames it; its cells stay",
    "widened": "the next drop widens it",
    "narrowed": "the table keeps the wider type, unless `millrace contract rewrite` is called",
}
"""What becomes of a column of the table."""
contract = typer.Typer(no_args_is_help=True, help="Check files and changes against a workload's contract.")
Files = Annotated[list[Path], typer.Argument(metavar="FILE", help=f"{TABLES}; an image, a folder of images.")]
FeedName = Annotated[str, typer.Option("--feed", autocompletion=feeds, help="training, labels or scoring.")]
Before = Annotated[Path | None, typer.Argument(show_default="the stage's tables", help="A contract.yaml of before.")]


@contract.command(cls=Once)
@grouped
def check(files: Files, workload: Workload, inside: Within, as_json: Json, feed: FeedName = "training") -> None:
    """Judge files by the contract as ingestion would: what is refused, why, in which lines.

    It needs no cloud and changes nothing. The exit status is 1 if a row, a whole file or a drop's own rule is refused.
    Keys that the table has already are found when the file is dropped.

    Example: millrace contract check may.csv --workload electricity, in the pipeline of whoever sends it."""
    from millrace.console.actions.drop import check, content_of, look
    from millrace.console.files.given import given
    from millrace.contract.future import up_to

    folder, known, at = only_folder(workload), check(files, feed, "local"), datetime.now(UTC)
    declared = load_contract(folder)
    table = up_to(declared.table(known), load_workload(folder).prediction, arrived=at)
    found = list[dict[str, Any]]()
    with given(files, inside) as opened:
        for one in opened:
            try:
                with content_of(one, declared, known, inside, stage="local") as content:
                    looked = look(content, table, at, parts=None)
            except DropError as error:
                found.append({"file": one.name, "reason": error.reason, "rows": None, "first": str(error)})
                continue
            refused = [(why, rows, "; ".join(looked.examples[why])) for why, rows in looked.refused.items()]
            refused += [("held", looked.rows, rule) for rule in looked.held]
            found += [{"file": one.name, "reason": why, "rows": rows, "first": first} for why, rows, first in refused]
    show_rows(found, as_json=as_json, nothing="Each row keeps the contract.")
    if found:
        raise typer.Exit(1)


@contract.command(cls=Once)
@grouped
def diff(target: Target, as_json: Json, before: Before = None) -> None:
    """Show how the columns of a contract differ from the tables', and what becomes of each.

    The contract is compared with the stage's tables, column by column by its field id; with BEFORE it is compared with
    that contract, without a cloud. The exit status is 1 if a table cannot follow: then no drop would come in.

    Example: millrace contract diff --stage prod; git show main:workloads/shop/contract.yaml > /tmp/contract.yaml &&
    millrace contract diff /tmp/contract.yaml"""
    from millrace.console.queries.stored import changes_of_contract, changes_of_tables
    from millrace.contract.load import contract_of, read_document

    if before:
        declared = load_contract(only_folder(target.workload))
        found = [*changes_of_contract(contract_of(read_document(before), where=str(before)), declared)]
    else:
        environment, names = target.find_deployed()
        declared = load_contract(workloads_folder() / names.workload)
        found = [*changes_of_tables(environment, names, declared)]
    rows: list[dict[str, Any]] = [
        dict[str, Any](table=table, column=one.name, change=one.change, before=one.before, now=one.now)
        | {"then": f"refused: expected {one.refusal}" if one.refusal else BECOMES[one.change], "field_id": field_id}
        for table, one, field_id in found
    ]
    show_rows(rows, as_json=as_json, nothing="No column differs.")
    if any(one.refusal for _, one, _ in found):
        raise typer.Exit(1)


@contract.command(cls=Once)
@grouped
def rewrite(target: Target, as_json: Json, reason: Reason, preview: Preview = False) -> None:
    """Write the tables' rows anew in the deployed contract's types, where a column was retyped or made narrower.

    Rows that do not fit are refused, and in quarantine. Earlier dataset versions stay as they were for the trainings
    that have pinned them. With --preview only what would become of the rows is said.

    Example: millrace contract rewrite --reason "prices are whole cents" --preview"""
    from millrace.console.actions import approve, start
    from millrace.console.cli.follow import follow, require_success

    approve.check_reason("rewrite", reason)
    environment, names = target.find_deployed()
    asked = {"is_rewriting": True, "reason": reason, "is_preview": preview}
    run = start.start(environment.client("stepfunctions"), names, "upkeep", more=asked)
    require_success(names, found := follow(environment, names, run.arn, said=True))
    show_rows(found[0].detail.output["upkeep"]["answer"]["rewritten"], as_json=as_json, nothing="Nothing to rewrite.")
