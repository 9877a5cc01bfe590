"""`millrace new`: propose a workload from a file of labelled rows."""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from millrace.console.cli.options import Build, Json, Within, label_kinds, split_words
from millrace.console.cli.printing import show_json, show_rows
from millrace.console.files.catalogue import TABLES
from millrace.console.files.given import ALSO, given
from millrace.contract.rules.image import ImageFormat
from millrace.contract.rules.length import Length
from millrace.contract.rules.range import Range
from millrace.workload.load import workloads_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from millrace.console.files.grid import Inside
    from millrace.console.new.declare import ProposedPrediction
    from millrace.console.new.proposal import Proposal
    from millrace.console.new.read import Source
    from millrace.console.new.roles import Choices
    from millrace.console.new.writing import Written
    from millrace.contract.schema import Column


def above_zero(hours: float | None) -> float | None:
    """The hours as they are. Raises BadParameter if they are 0 or less, infinite, or no number."""
    if hours is not None and not 0 < hours < math.inf:
        raise typer.BadParameter(f"expected hours from now on, above 0, got {hours:g}")
    return hours


PHASES = 7
"""The file is read before the proposal is made, and written behind it."""
Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the workload: small letters, digits and _.")]
ROWS = f"Labelled rows: {TABLES}; {ALSO}. Or a folder of them or of images; - is standard input."
From = Annotated[list[Path], typer.Option("--from", help=ROWS)]


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How a file is read, and what of it is predicted, as typed."""

    label: Annotated[
        list[str] | None, typer.Option(help="The column that is to be predicted; once for each of several yes or no.")
    ] = None
    positive: Annotated[str, typer.Option(help="The label's value that an answer of 1 means.")] = ""
    event_time: Annotated[str, typer.Option(help="The column with the moment that a row is about.")] = ""
    has_no_event_time: Annotated[
        bool, typer.Option("--no-event-time", help="The file has none: that of its drop is taken.")
    ] = False
    is_in_order: Annotated[
        bool, typer.Option("--rows-in-order", help="The file has none, but its first row is the oldest.")
    ] = False
    time_format: Annotated[str, typer.Option(help="How the event time is written: 'dd/MM/yyyy HH:mm'.")] = ""
    key: Annotated[str, typer.Option(help="The columns that tell one row from another: id or store,date.")] = ""
    has_no_key: Annotated[bool, typer.Option("--no-key", help="It has none: an id is made of file and line.")] = False
    group: Annotated[
        str,
        typer.Option(
            help="The columns of what rows are about, such as patient: no split divides it.", show_default="measured"
        ),
    ] = ""
    has_no_group: Annotated[
        bool, typer.Option("--no-group", help="Rows are about nothing that new ones will not be about.")
    ] = False
    kind: Annotated[
        str,
        typer.Option(
            autocompletion=label_kinds,
            help="What is predicted, such as regression; a word that is no kind lists them all.",
            show_default="by the label",
        ),
    ] = ""
    unit: Annotated[str, typer.Option(help="What a predicted number counts: kWh.")] = ""
    horizon_hours: Annotated[
        float | None, typer.Option(callback=above_zero, help="Predict the label so many hours later, from a history.")
    ] = None
    horizon_steps: Annotated[
        int | None, typer.Option(min=1, help="The same in rows of a series: 1 is the next row of each key.")
    ] = None
    known: Annotated[
        str, typer.Option(help="Columns that are known of the predicted moment, as promotions and holidays are: a,b.")
    ] = ""
    leave_out: Annotated[str, typer.Option(help="Columns that the contract shall not have: a,b.")] = ""
    keep: Annotated[
        str,
        typer.Option(
            help="Features that would be left out: they leak the label, tell of a person, or are copies: a,b."
        ),
    ] = ""
    asks: Annotated[
        bool, typer.Option("--ask", help="Stop at what is in doubt, in place of taking the harmless answer.")
    ] = False
    image_size: Annotated[str, typer.Option(help="Scale the images to height x width: 64x64.")] = ""
    decimal: Annotated[str, typer.Option(help="The mark before decimals, . or , (found where it is not said).")] = ""
    columns: Annotated[str, typer.Option(help="The names of the columns, where the file has no line with them.")] = ""

    def choices(self, name: str) -> Choices:
        """What is chosen, as the proposal takes it."""
        from millrace.console.new.roles import Choices

        given = {each.name: getattr(self, each.name) for each in fields(Choices) if each.name in vars(self)}
        words = {name: split_words(given[name]) for name in ("key", "group", "known", "keep", "leave_out")}
        horizon = {name: given[name] or 0 for name in ("horizon_hours", "horizon_steps")}
        label, *others = dict.fromkeys(self.label or [""])
        labels = {"label": label, "labels": (label, *others) if others else ()}
        return Choices(name=name, **given | words | horizon | labels)

    @contextmanager
    def source(self, files: Sequence[Path], inside: Inside, choices: Choices) -> Iterator[Source]:
        """The rows of the files. What is packed in them is unpacked until the context ends."""
        from millrace.console.new.files import read_given, sampled

        with given(files, inside) as opened, TemporaryDirectory() as temporary:
            opened, notes = sampled(opened, Path(temporary), looks_ahead=choices.looks_ahead)
            for note in notes:
                typer.echo(note, err=True)
            source = read_given(opened, inside, columns=split_words(self.columns), decimal=self.decimal)
            yield replace(source, notes=(*notes, *source.notes))


@dataclass(frozen=True, kw_only=True)
class NewOptions:
    """How a workload is proposed and written, as typed."""

    minutes: Annotated[
        float,
        typer.Option(
            min=0, max=60, help="Try candidates on the rows for at most so long; 0: propose by the kind of data."
        ),
    ] = 2
    part: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Try this frozen encoder too: a file that `millrace part` wrote."
        ),
    ] = None
    calls_a_day: Annotated[int, typer.Option(min=0, help="Requests to come; enough are a canary's.")] = 0
    hurts: Annotated[str, typer.Option(help="The class that is bad to miss: a gate asks for its recall.")] = ""
    classes: Annotated[str, typer.Option(help="The label's values, where people give it first: yes,no.")] = ""
    is_plain: Annotated[bool, typer.Option("--plain", help="The model alone: no policy, fallback, more gates.")] = False
    force: Annotated[bool, typer.Option("--force", help="Replace a workload and drops that are there.")] = False


def new(
    name: Name,
    files: From,
    reading: ReadOptions,
    options: NewOptions,
    build: Build,
    as_json: Json,
    inside: Within,
) -> None:
    """Propose a workload from a file of labelled rows: its contract, its declaration, and drops to begin with.

    Example: millrace new churn --from customers.csv --label left --key customer_id

    Example: millrace new rooms --from rooms.csv --label damp --label mould

    Example: millrace new load --from meters.parquet --label kWh --horizon-hours 24 --unit kWh

    Example: millrace new cracks --from photos --image-size 64x64, of photos/yes/1.jpg, photos/no/2.jpg …

    Example: millrace new triage --from mails.csv --label urgent --classes yes,no, of mails that nobody has labelled

    Example: millrace new sales --from shop.db --sql "SELECT * FROM orders JOIN items USING (id)" --label returned

    It reads off the rows what they show. Label, event time and key it guesses, with the reason; where it is in doubt it
    takes the answer that does no harm, and says so (--ask asks). The workload is written to workloads/NAME (or
    MILLRACE_WORKLOADS/NAME)."""
    from millrace.console.new.families import PartAtHand
    from millrace.console.new.proposal import propose
    from millrace.console.new.writing import check_free, write

    said = {each: getattr(options, each) for each in ("calls_a_day", "hurts", "is_plain")}
    choices = replace(reading.choices(name), classes=split_words(options.classes), **said)
    # Read, propose, write: nothing is written before the whole proposal stands.
    folder = build / "drops" / name
    check_free(name, workloads_folder(), folder, force=options.force)
    phase(1, "reading the file")
    with reading.source(files, inside, choices) as source:
        proposal = propose(
            source,
            choices,
            today=datetime.now(UTC).date(),
            minutes=options.minutes,
            part=PartAtHand(path=options.part) if options.part else None,
            say=phase,
        )
        phase(7, "writing the workload and its first drops")
        written = write(proposal, workloads_folder(), folder, force=options.force)
    if as_json:
        show_json(_document(proposal, written))
    else:
        _tell(proposal, written)


def phase(number: int, said: str, of: int = PHASES) -> None:
    """Print the phase that begins on a line of its own, `[2 of 7] …`: a pipe shows it, too."""
    typer.echo(f"[{number} of {of}] {said}", err=True)


def _document(proposal: Proposal, written: Written) -> dict[str, Any]:
    from millrace.console.new.remarks import notes_of

    guesses = {
        what: {"value": getattr(guess.value, "name", guess.value), "reason": guess.reason, "others": guess.others}
        for what, guess in proposal.guesses.items()
    }
    return {
        "workload": str(written.folder),
        "guesses": guesses,
        "features": list(proposal.prediction.declared),
        "no_features": {one.name: one.reason for one in proposal.features.others},
        "may_be_missing": proposal.may_be_missing,
        "not_in_contract": {one.name: one.reason for one in proposal.reading.left_out},
        "notes": notes_of(proposal),
        "accepted": proposal.accepted.num_rows,
        "refused": [asdict(row) for row in proposal.refused],
        "spans": asdict(proposal.spans),
        "group": proposal.prediction.group,
        "naive": asdict(proposal.naive),
        "rows": dict(zip(("train", "validation", "test"), proposal.rehearsal.rows, strict=True)),
        "tried": [each.model_dump() for each in proposal.trial.tried],
        "proposed": proposal.trial.chosen.said,
        "watches_errors": proposal.rehearsal.watches_errors,
        "drops": [str(path) for path in written.drops],
        "to_predict": str(written.to_predict),
    }


def _tell(proposal: Proposal, written: Written) -> None:
    """Print the guesses, the table of columns, the remarks and the next commands."""
    from millrace.console.new.remarks import remarks

    # No markup and no highlighting: texts of the file must not be read as rich's tags.
    console = Console(highlight=False, soft_wrap=True)
    for what, guess in proposal.guesses.items():
        several = ", ".join(proposal.prediction.labels) if what == "label" else ""
        value = several or getattr(guess.value, "name", guess.value)
        shown = ", ".join(value) if isinstance(value, tuple) else repr(value) if what == "positive" else value
        others = f"; or {', '.join(guess.others[:5])}" if guess.others else ""
        console.print(f"{what:<11} {shown}: {guess.reason}{others}", markup=False)
    console.print()
    show_rows(_columns(proposal), as_json=False, nothing="")
    console.print()
    for line in remarks(proposal):
        console.print(f"- {line}", markup=False)
    for line in proposal.trial.lines:
        console.print(line, markup=False)
    console.print(f"\nNext (change {quote(str(written.folder))}/*.yaml first, if you like):\n", markup=False)
    for command in commands(proposal.prediction.name, written, asks_people=bool(proposal.reading.choices.classes)):
        console.print(f"  {command}", markup=False)
    console.print(f"\n{written.to_predict.name} holds {written.predicted}.", markup=False)


def _columns(proposal: Proposal) -> list[dict[str, Any]]:
    """A row of the table for each column of the contract. A column is a feature, a calendar's, or has a reason."""
    from millrace.console.new.remarks import is_long

    prediction = proposal.prediction
    past = [name for feature in prediction.derived for name in feature.get("history", ())]
    calendars = {
        feature["calendar"]: ", ".join(feature["parts"]) for feature in prediction.derived if "calendar" in feature
    }
    others = {one.name: one.reason for one in proposal.features.others}
    reasons = {name: "no: see below" if is_long(reason) else f"no: {reason}" for name, reason in others.items()}
    # A later role replaces an earlier one: an event time that is in the key is shown as the event time.
    roles = dict.fromkeys(prediction.key, "key") | {prediction.event_time: "event time"}
    roles |= dict.fromkeys(prediction.label_columns, "label")
    return [
        {
            "column": column.name,
            "type": column.kind,
            "missing": "" if column.required else "may be",
            "rule": _rule(column),
            "feature": _as_feature(column.name, prediction, past)
            or calendars.get(column.name, "")
            or reasons.get(column.name, ""),
            "role": roles.get(column.name, "protected" if column.is_protected else ""),
        }
        for column in proposal.contract.columns
    ]


def _as_feature(name: str, prediction: ProposedPrediction, past: Sequence[str]) -> str:
    itself = "its words" if name in prediction.texts else "yes"
    return " and ".join([itself] * (name in prediction.features) + ["its past"] * (name in past))


def _rule(column: Column) -> str:

    # One rule is shown, the first of these: the image, the list of values, the range, the length.
    if image := column.find(ImageFormat):
        return image.expected
    if column.allowed:
        words = ", ".join(map(str, column.allowed))
        return words if len(words) <= 40 else f"{len(column.allowed)} values, {words[:28]}…"
    declared = column.find(Range) or Range()
    bounds = [f">= {declared.minimum}"] if declared.minimum is not None else []
    bounds += [f"<= {declared.maximum}"] if declared.maximum is not None else []
    length = column.find(Length)
    return ", ".join(bounds) or (f"{length.maximum} characters at most" if length else "")


def commands(name: str, written: Written, *, asks_people: bool = False) -> list[str]:
    """The next commands, in their order: deploy the workload, drop the file, label rows of it, predict."""
    dropped = quote(os.path.commonpath(written.drops))  # of several files their folder
    return [
        f"millrace up --workload {name}",
        f"millrace drop {dropped} --workload {name} --feed training --wait",
        *[f"millrace review --workload {name}"] * asks_people,
        f"millrace predict {quote(str(written.to_predict))} --workload {name}",
    ]
