"""The options of `millrace new`: what a file alone does not say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from console.cli.completion import label_kinds
from console.files.catalogue import TABLES
from console.files.given import ALSO

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the workload: small letters, digits and _.")]
From = Annotated[
    list[Path],
    typer.Option(
        "--from", help=f"Labelled rows: {TABLES}; {ALSO}. Or a folder of them or of images; - is standard input."
    ),
]
Label = Annotated[
    list[str] | None, typer.Option(help="The column that is to be predicted; once for each of several yes or no.")
]
PositiveClass = Annotated[str, typer.Option(help="The label's value that an answer of 1 means.")]
EventTime = Annotated[str, typer.Option(help="The column with the moment that a row is about.")]
NoEventTime = Annotated[bool, typer.Option("--no-event-time", help="The file has none: that of its drop is taken.")]
RowsInOrder = Annotated[
    bool, typer.Option("--rows-in-order", help="The file has none, but its first row is the oldest.")
]
WrittenTime = Annotated[str, typer.Option(help="How the event time is written: 'dd/MM/yyyy HH:mm'.")]
KeyColumns = Annotated[str, typer.Option(help="The columns that tell one row from another: id or store,date.")]
NoKey = Annotated[bool, typer.Option("--no-key", help="The file has none: an id is made of file and line.")]
Group = Annotated[
    str,
    typer.Option(
        help="The columns of what rows are about, such as patient: no split divides it.", show_default="measured"
    ),
]
NoGroup = Annotated[bool, typer.Option("--no-group", help="Rows are about nothing that new ones will not be about.")]
LabelKind = Annotated[
    str,
    typer.Option(
        autocompletion=label_kinds,
        help="What is predicted, such as regression; a word that is no kind lists them all.",
        show_default="by the label",
    ),
]
Unit = Annotated[str, typer.Option(help="What a predicted number counts: kWh.")]


def above_zero(hours: float | None) -> float | None:
    """The hours as they are. Raises BadParameter if they are 0 or less, infinite, or no number."""
    if hours is not None and not 0 < hours < math.inf:
        raise typer.BadParameter(f"expected hours from now on, above 0, got {hours:g}")
    return hours


HorizonHours = Annotated[
    float | None, typer.Option(callback=above_zero, help="Predict the label so many hours later, from a history.")
]
HorizonSteps = Annotated[
    int | None, typer.Option(min=1, help="The same in rows of a series: 1 is the next row of each key.")
]
Known = Annotated[
    str, typer.Option(help="Columns that are known of the predicted moment, as promotions and holidays are: a,b.")
]
LeaveOut = Annotated[str, typer.Option(help="Columns that the contract shall not have: a,b.")]
Keep = Annotated[
    str,
    typer.Option(help="Features that would be left out: they leak the label, tell of a person, or are copies: a,b."),
]
ImageSize = Annotated[str, typer.Option(help="Scale the images to height x width: 64x64.")]
Decimal = Annotated[str, typer.Option(help="The mark before decimals, . or , (found where it is not said).")]
ColumnNames = Annotated[str, typer.Option(help="The names of the columns, where the file has no line with them.")]
Minutes = Annotated[
    float,
    typer.Option(min=0, max=60, help="Try candidates on the rows for at most so long; 0: propose by the kind of data."),
]
Part = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, help="Try these vectors of words too: a file that `millrace part` wrote."
    ),
]
Owner = Annotated[str, typer.Option(help="Who answers for the workload.")]
Drops = Annotated[Path | None, typer.Option(help="Folder of the drops.", show_default="build/drops/NAME")]
Pieces = Annotated[int, typer.Option(min=0, help="Drops to cut the file into; 0: the file itself.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a workload and drops that are there.")]
