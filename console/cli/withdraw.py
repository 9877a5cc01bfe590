"""`millrace withdraw`: take rows out of the tables again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.environment import find_deployed
from console.cli.options import Build, Json, Stage, Workload
from console.cli.printing import show_json
from console.words import count

if TYPE_CHECKING:
    from millrace.messages.withdrawal import Withdrawn


def withdraw(
    stage: Stage,
    workload: Workload,
    build: Build,
    as_json: Json,
    reason: Annotated[str, typer.Option(help="Why, for the audit table.")],
    key: Annotated[
        list[str] | None, typer.Option(help="COLUMN=CELL of the row's key; once for each column of the key.")
    ] = None,
    drop: Annotated[str, typer.Option(help="Of this dropped object: its key, or the end of it.")] = "",
    preview: Annotated[bool, typer.Option("--preview", help="Only say what would become of the rows.")] = False,
) -> None:
    """Take rows out of the tables: the next dataset version is without them, earlier ones stay as they were.

    Example: millrace withdraw --key timestamp=9999-12-31T00:00:00 --reason "a typing error". Rows that a label file has
    corrected stay, with their earlier label. What will become of how many rows is said first, on standard error; with
    --preview nothing else is done. The exit status is 1 when no row is found."""
    from console.actions.withdraw import find_drop, request_of
    from console.actions.withdraw import withdraw as take_out
    from millrace.errors import WithdrawalError

    # Wrong words are refused before anything is asked of AWS.
    pairs = [one.partition("=") for one in key or ()]
    if wrong := [name for name, sign, _ in pairs if not name or not sign]:
        raise WithdrawalError(f"--key: expected COLUMN=CELL, got {wrong[0]!r}")
    environment, names = find_deployed(stage, build, workload)
    cells, found = {name: cell for name, _, cell in pairs}, find_drop(environment, names, drop) if drop else ""
    request = request_of(environment, reason=reason, key=cells, drop=found)
    done = take_out(environment, names, request.model_copy(update={"is_preview": True}))
    if not preview:
        typer.echo(f"Will withdraw: {_counts(done)}.", err=True)
        done = take_out(environment, names, request)
    if as_json:
        show_json(done.model_dump())
    else:
        of = f" of {found}" if found else ""
        print(f"{'Would withdraw' if preview else 'Withdrawn'}: {_counts(done)}{of}.")


def _counts(answer: Withdrawn) -> str:
    again = f"; {count(answer.relabelled, 'row')} get their earlier label" if answer.relabelled else ""
    return f"{count(answer.rows, 'row')} and {count(answer.labels, 'label')}{again}"
