"""The options of `millrace new`: what a file alone does not say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millrace.console.cli.options import label_kinds, split_words
from millrace.console.files.catalogue import TABLES
from millrace.console.files.given import ALSO

if TYPE_CHECKING:
    from millrace.console.new.roles import Choices


def above_zero(hours: float | None) -> float | None:
    """The hours as they are. Raises BadParameter if they are 0 or less, infinite, or no number."""
    if hours is not None and not 0 < hours < math.inf:
        raise typer.BadParameter(f"expected hours from now on, above 0, got {hours:g}")
    return hours


@dataclass(frozen=True, kw_only=True)
class NewOptions:
    """The options of the command, as typed."""

    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the workload: small letters, digits and _.")]
    files: Annotated[
        list[Path],
        typer.Option(
            "--from", help=f"Labelled rows: {TABLES}; {ALSO}. Or a folder of them or of images; - is standard input."
        ),
    ]
    label: Annotated[
        list[str] | None, typer.Option(help="The column that is to be predicted; once for each of several yes or no.")
    ] = None
    positive: Annotated[str, typer.Option(help="The label's value that an answer of 1 means.")] = ""
    event_time: Annotated[str, typer.Option(help="The column with the moment that a row is about.")] = ""
    no_event_time: Annotated[
        bool, typer.Option("--no-event-time", help="The file has none: that of its drop is taken.")
    ] = False
    rows_in_order: Annotated[
        bool, typer.Option("--rows-in-order", help="The file has none, but its first row is the oldest.")
    ] = False
    time_format: Annotated[str, typer.Option(help="How the event time is written: 'dd/MM/yyyy HH:mm'.")] = ""
    key: Annotated[str, typer.Option(help="The columns that tell one row from another: id or store,date.")] = ""
    no_key: Annotated[bool, typer.Option("--no-key", help="The file has none: an id is made of file and line.")] = False
    group: Annotated[
        str,
        typer.Option(
            help="The columns of what rows are about, such as patient: no split divides it.", show_default="measured"
        ),
    ] = ""
    no_group: Annotated[
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
    image_size: Annotated[str, typer.Option(help="Scale the images to height x width: 64x64.")] = ""
    minutes: Annotated[
        float,
        typer.Option(
            min=0, max=60, help="Try candidates on the rows for at most so long; 0: propose by the kind of data."
        ),
    ] = 2
    part: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Try these vectors of words too: a file that `millrace part` wrote."
        ),
    ] = None
    decimal: Annotated[str, typer.Option(help="The mark before decimals, . or , (found where it is not said).")] = ""
    columns: Annotated[str, typer.Option(help="The names of the columns, where the file has no line with them.")] = ""
    owner: Annotated[str, typer.Option(help="Who answers for the workload.")] = "me"
    drops: Annotated[Path | None, typer.Option(help="Folder of the drops.", show_default="build/drops/NAME")] = None
    pieces: Annotated[int, typer.Option(min=0, help="Drops to cut the file into; 0: the file itself.")] = 0
    force: Annotated[bool, typer.Option("--force", help="Replace a workload and drops that are there.")] = False

    def choices(self) -> Choices:
        """What is chosen, as the proposal takes it."""
        from millrace.console.new.roles import Choices

        return Choices(
            name=self.name,
            label=self.label[0] if self.label else "",
            labels=tuple(dict.fromkeys(self.label)) if self.label and len(self.label) > 1 else (),
            positive=self.positive,
            event_time=self.event_time,
            has_no_event_time=self.no_event_time,
            is_in_order=self.rows_in_order,
            time_format=self.time_format,
            key=split_words(self.key),
            has_no_key=self.no_key,
            group=split_words(self.group),
            has_no_group=self.no_group,
            kind=self.kind,
            unit=self.unit,
            horizon_hours=self.horizon_hours or 0,
            horizon_steps=self.horizon_steps or 0,
            keep=split_words(self.keep),
            image_size=self.image_size,
            known=split_words(self.known),
            leave_out=split_words(self.leave_out),
            owner=self.owner,
        )
