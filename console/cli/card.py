"""`millrace card`: the model card of a version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.environment import find_deployed
from console.cli.options import Build, Json, Stage, Version, Workload

Output = Annotated[
    Path | None,
    typer.Option(show_default="card-<workload>-<stage>-<version>.html in the build folder", help="The HTML file."),
]


def card(
    workload: Workload, stage: Stage, build: Build, json: Json, version: Version = "", output: Output = None
) -> None:
    """Write the model card of a version as a page: use, limits, risk, figures with intervals, gates, data, digests.

    The card is as registration wrote it, for SageMaker as well. A card that was altered since is refused. What people
    change in SageMaker's copy is not shown.

    Example: millrace card 3 --output card.html"""
    from console.cli.printing import show_json
    from console.pages.card import card_page
    from console.queries.cards import read_card

    environment, names = find_deployed(stage, build, workload)
    found = read_card(environment, names, version)
    if json:
        show_json(found.card.model_dump(mode="json", exclude_none=True))
        return
    path = output or build / f"card-{names.workload}-{stage}-{found.version}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(card_page(found), encoding="utf-8")
    print(path)
