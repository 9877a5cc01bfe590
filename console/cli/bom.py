"""`millrace bom`: the bill of materials of a version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from console.cli.environment import find
from console.cli.options import Build, Stage, Version, Workload

Output = Annotated[Path | None, typer.Option(show_default="the standard output", help="The JSON file to write.")]


def bom(workload: Workload, stage: Stage, build: Build, version: Version = "", output: Output = None) -> None:
    """Print the AI-BOM of a version: the model, its rows, images and libraries, in CycloneDX 1.6.

    A document that was altered, or that breaks the schema, is refused.

    Example: millrace bom 3 --output bom.cdx.json"""
    from console.queries.boms import read_bom

    _, document = read_bom(*find(stage, build, workload), version)
    text = json.dumps(document, indent=1)
    if output is None:
        print(text)
        return
    output.write_text(text, encoding="utf-8")
    print(output)
