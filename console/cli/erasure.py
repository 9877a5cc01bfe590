"""The command `millrace erase`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from millrace.console.cli.data import Preview
from millrace.console.cli.options import Json, Reason, Target
from millrace.console.cli.printing import in_json, tell
from millrace.console.stages import command
from millrace.console.words import listed
from millrace.errors import WithdrawalError
from millrace.timestamps import format_utc


def erase(
    target: Target,
    as_json: Json,
    reason: Reason,
    key: Annotated[str, typer.Option(help="COLUMN=CELL: a column of the rows' key that names a person.")],
    cells: Annotated[Path | None, typer.Option(exists=True, help="For --key COLUMN: a file, a cell a line.")] = None,
    certificate: Annotated[Path, typer.Option(help="The file for the certificate.")] = Path("erased.json"),
    preview: Preview = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="Then start a training without the person.")] = False,
) -> None:
    """Erase what is kept of a person: rows, labels, decisions, dropped files, refused rows, reviews, in all versions.

    Example: millrace erase --key customer=c-1783 --reason "ticket 4711". Dataset versions that had the person cannot be
    made again; the models that learnt from them are named. The certificate says what left each store and what a second
    look found; the audit has the same, with an HMAC in place of the key. The exit status is 1 if something is left."""
    from millrace.console.actions import withdraw
    from millrace.console.actions.start import start
    from millrace.console.queries.versions import find_versions
    from millrace.messages.withdrawal import MOST_CELLS, ErasureRequest

    column, is_one, cell = key.partition("=")
    named = [*filter(None, map(str.strip, cells.read_text().splitlines()))] if cells else [cell][: len(cell)]
    if not column or bool(is_one) == bool(cells) or not 1 <= len(named) <= MOST_CELLS:
        raise WithdrawalError(f"--key: expected COLUMN=CELL, or COLUMN and --cells, with 1 to {MOST_CELLS} cells")
    environment, names = target.find_deployed()
    request = ErasureRequest(
        **withdraw.by_person(environment, "erase", reason), column=column, cells=tuple(named), is_preview=preview
    )
    answer = withdraw.erase(environment, names, request)
    learners = [
        {"version": one.version, "trained_at": one.trained_at, "live_since": one.live_at}
        for one in (find_versions(environment, names) if answer.versions else ())
        if one.version and one.tag in answer.versions
    ]
    told = request.model_dump(mode="json", exclude={"cells"}) | answer.model_dump(mode="json")
    removed, left = (
        listed([f"{found} in {one.store}" for one in answer.stores if (found := getattr(one, field))]) or "nothing"
        for field in ("removed", "left")
    )
    words = f"Erased records: {removed}. Objects and items left: {left}. Certificate: {certificate}."
    if left != "nothing":
        words = f"{words} That is what names the person in a record of others, or cannot be read."
    if learners:
        learnt_by = listed([str(one["version"]) for one in learners])
        words = f"{words} Learnt by version {learnt_by}; {command(names, 'train')} makes one without."
    told |= {"as_of": format_utc(request.as_of), "learnt_by": learners}
    if not preview:
        certificate.write_text(json.dumps(told, indent=1, default=in_json))
    if retrain and not preview:
        told["training"] = start(environment.client("stepfunctions"), names, "train").arn
        words = f"{words} Started: {told['training']}."
    previewed = f"Objects, in all versions, and items that name the person: {left}. The erasure counts their records."
    tell(previewed if preview else f"{words} Files outside the stage, as in build/drops, stay.", told, as_json=as_json)
    if not preview and left != "nothing":
        raise typer.Exit(1)
