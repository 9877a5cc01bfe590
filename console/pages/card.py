"""The model card of a version as one HTML file that loads nothing from the network."""

from __future__ import annotations

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from console.pages.page import FOLDER
from console.queries.cards import VersionCard


def card_page(found: VersionCard) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("card.html.jinja").render(found=found, card=found.card)
