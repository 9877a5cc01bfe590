"""`millrace withdraw`: take rows out of the tables again."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.environment import find_deployed
from console.cli.options import Build, Json, Stage, Workload
from console.cli.printing import show_json
from console.words import count


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
) -> None:
    """Take rows out of the tables: the next dataset version is without them, earlier ones stay as they were.

    Example: millrace withdraw --key timestamp=9999-12-31T00:00:00 --reason "a typing error". The same bytes do not
    come in again; a mended file with the same keys does. The exit status is 1 when no row is found."""
    from console.actions.withdraw import find_drop
    from console.actions.withdraw import withdraw as take_out
    from millrace.errors import WithdrawalError

    # Wrong words are refused before anything is asked of AWS.
    pairs = [one.partition("=") for one in key or ()]
    if wrong := [name for name, sign, _ in pairs if not name or not sign]:
        raise WithdrawalError(f"--key: expected COLUMN=CELL, got {wrong[0]!r}")
    environment, names = find_deployed(stage, build, workload)
    cells, found = {name: cell for name, _, cell in pairs}, find_drop(environment, names, drop) if drop else ""
    done = take_out(environment, names, reason=reason, key=cells, drop=found)
    if as_json:
        show_json(done.model_dump())
    else:
        of = f" of {found}" if found else ""
        withdrawn = f"{count(done.rows, 'row')} and {count(done.labels, 'label')}"
        print(f"Withdrawn: {withdrawn}{of}; no later version of {names.workload} has them.")
