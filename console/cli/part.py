"""`millrace part`: makes a pre-trained part of a table of vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Table = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The vectors, *.safetensors.")]
Tokenizer = Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Its tokenizer.json (BPE).")]
Licence = Annotated[str, typer.Option(help="The licence of the vectors, such as MIT.")]
Source = Annotated[str, typer.Option(help="Where they come from: a package with its version, or a page.")]
Name = Annotated[str, typer.Option(show_default="that of the file", help="The name of the part.")]
Output = Annotated[Path, typer.Option(help="The file to write.")]


def part(table: Table, tokenizer: Tokenizer, licence: Licence, source: Source, output: Output, name: Name = "") -> None:
    """Make a pre-trained part of vectors of word pieces: one file with licence, source and pieces in its header.

    It prints what workload.yaml declares.

    Example: millrace part words.safetensors --tokenizer tokenizer.json --licence MIT --source "wordllama 0.4" \\
    --output workloads/mine/parts/words.safetensors"""
    from millrace.console.actions.part import make_part

    made = make_part(table, tokenizer, output, name=name or table.stem, source=source, licence=licence)
    print(f"{output}: {len(made.pieces):,} pieces of {made.width} numbers")
    print(f'pretrained: {{from: parts/{output.name}, digest: "sha256:{made.digest}", licence: {made.licence}}}')
