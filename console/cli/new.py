"""`millrace new`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.options import Build, Json

if TYPE_CHECKING:
    from console.new.proposal import Proposal
    from console.new.writing import Written
    from millrace.contract.schema import Column

SHOWN_REFUSED = 3


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the workload: small letters, digits and _.")],
    file: Annotated[Path, typer.Option("--from", help="Labelled rows: CSV, TSV, JSON lines or Parquet.")],
    build: Build,
    as_json: Json,
    label: Annotated[str, typer.Option(help="The column that is to be predicted; two classes.")] = "",
    positive: Annotated[str, typer.Option(help="The label's value that an answer of 1 means.")] = "",
    event_time: Annotated[str, typer.Option(help="The column with the moment that a row is about.")] = "",
    no_event_time: Annotated[bool, typer.Option("--no-event-time", help="The file has none: one is made up.")] = False,
    time_format: Annotated[str, typer.Option(help="How the event time is written, as strptime: '%d/%m/%Y'.")] = "",
    key: Annotated[str, typer.Option(help="The columns that tell one row from another: id or store,date.")] = "",
    no_key: Annotated[bool, typer.Option("--no-key", help="The file has none: the rows are numbered.")] = False,
    kind: Annotated[str, typer.Option(help="What is predicted: binary.")] = "binary",
    leave_out: Annotated[str, typer.Option(help="Columns that the contract shall not have: a,b.")] = "",
    columns: Annotated[str, typer.Option(help="The names of the columns, where the file has no line with them.")] = "",
    owner: Annotated[str, typer.Option(help="Who answers for the workload.")] = "me",
    drops: Annotated[Path | None, typer.Option(help="Folder of the drops.", show_default="build/drops/NAME")] = None,
    pieces: Annotated[int, typer.Option(min=0, help="Drops to cut the rows into; 0: one for each month.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a workload and drops that are there.")] = False,
) -> None:
    """Propose a workload from a file of labelled rows: its contract, its declaration, and drops to begin with.

    Example: millrace new churn --from customers.csv --label left --key customer_id

    What can be read off the rows is; what cannot (label, event time, key) is guessed where that is safe, with the
    reason, and asked for where it is not. The workload is written to workloads/NAME (or MILLRACE_WORKLOADS/NAME)."""
    from datetime import UTC, datetime

    from console.cli.printing import show_json
    from console.new.proposal import Choices, propose
    from console.new.source import read_source
    from console.new.writing import write
    from millrace.workload.load import workloads_folder

    choices = Choices(
        name=name,
        label=label,
        positive=positive,
        event_time=event_time,
        has_no_event_time=no_event_time,
        time_format=time_format,
        key=_words(key),
        has_no_key=no_key,
        kind=kind,
        leave_out=_words(leave_out),
        owner=owner,
    )
    source = read_source(file, columns=_words(columns))
    proposal = propose(source, choices, today=datetime.now(UTC).date())
    folder = drops or build / "drops" / name
    written = write(proposal, file, workloads_folder(), folder, pieces=pieces, force=force)
    if as_json:
        show_json(_document(proposal, written))
    else:
        _tell(proposal, written)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _document(proposal: Proposal, written: Written) -> dict[str, Any]:
    from dataclasses import asdict

    guesses = {
        what: {"value": getattr(guess.value, "name", guess.value), "reason": guess.reason, "others": guess.others}
        for what, guess in proposal.guesses.items()
    }
    return {
        "workload": str(written.folder),
        "guesses": guesses,
        "features": proposal.surface.features,
        "no_features": {one.name: one.reason for one in proposal.no_features},
        "not_in_contract": {one.name: one.reason for one in proposal.not_in_contract},
        "notes": proposal.notes,
        "accepted": proposal.accepted.num_rows,
        "refused": [asdict(row) for row in proposal.refused],
        "spans": asdict(proposal.spans),
        "naive": asdict(proposal.naive),
        "drops": [str(path) for path in written.drops],
        "to_predict": str(written.to_predict),
        "as_it_is": written.as_it_is,
    }


def _tell(proposal: Proposal, written: Written) -> None:
    from rich.console import Console

    from console.cli.printing import show_rows

    console = Console(highlight=False, soft_wrap=True)
    for what, guess in proposal.guesses.items():
        value = getattr(guess.value, "name", guess.value)
        shown = ", ".join(value) if isinstance(value, tuple) else repr(value) if what == "positive" else value
        others = f"; or {', '.join(guess.others[:5])}" if guess.others else ""
        console.print(f"{what:<11} {shown}: {guess.reason}{others}", markup=False)
    console.print()
    show_rows(_columns(proposal), as_json=False, nothing="")
    console.print()
    for line in _remarks(proposal, written):
        console.print(f"- {line}", markup=False)
    console.print(f"\nNext (change {written.folder}/*.yaml first, if you like):\n", markup=False)
    for command in commands(proposal.surface.name, written):
        console.print(f"  {command}", markup=False)


def _columns(proposal: Proposal) -> list[dict[str, Any]]:
    surface = proposal.surface
    reasons = {one.name: f"no: {one.reason}" for one in proposal.no_features}
    roles = dict.fromkeys(surface.key, "key") | {surface.event_time: "event time", surface.label: "label"}
    return [
        {
            "column": column.name,
            "type": column.kind,
            "missing": "" if column.required else "may be",
            "rule": _rule(column),
            "feature": "yes" if column.name in surface.features else reasons.get(column.name, ""),
            "role": roles.get(column.name, ""),
        }
        for column in proposal.contract.columns
    ]


def _rule(column: Column) -> str:
    from millrace.contract.rules.length import Length
    from millrace.contract.rules.range import Range

    if column.allowed:
        words = ", ".join(map(str, column.allowed))
        return words if len(words) <= 40 else f"{len(column.allowed)} values, {words[:28]}…"
    declared = column.find(Range) or Range()
    bounds = [f">= {declared.minimum}"] if declared.minimum is not None else []
    bounds += [f"<= {declared.maximum}"] if declared.maximum is not None else []
    length = column.find(Length)
    return ", ".join(bounds) or (f"{length.maximum} characters at most" if length else "")


def _remarks(proposal: Proposal, written: Written) -> list[str]:
    rows, refused, spans, naive = proposal.accepted.num_rows, proposal.refused, proposal.spans, proposal.naive
    lines = [f"{rows:,} rows keep the contract, {len(refused):,} would be quarantined"]
    lines += [f"  line {row.line}: {row.detail}" for row in refused[:SHOWN_REFUSED]]
    lines += [f"{one.name} is not in the contract: {one.reason}" for one in proposal.not_in_contract]
    lines += proposal.notes
    rule = f"the label {naive.lag_hours} hours before" if naive.lag_hours else "always the class of most rows"
    lines.append(
        f"{rule} is right on {naive.accuracy:.1%} of the last {spans.test_days} days' rows, which test the model"
    )
    if not spans.is_rate_promised:
        lines.append(
            f"{spans.windows} windows of {spans.window_days} days are few: drift alarms may be wrong more often"
        )
    if written.as_it_is:
        lines.append(f"the file as it is: {written.as_it_is}; the drops are its rows as the contract has them")
    return lines


def commands(name: str, written: Written) -> list[str]:
    """The next commands, in order."""
    folder = written.drops[0].parent
    return [
        "millrace up",
        f"for piece in {folder}/*.parquet; do millrace drop $piece --workload {name} --feed training; done",
        f"millrace runs --workload {name}",
        f"millrace predict {written.to_predict} --workload {name}",
    ]
