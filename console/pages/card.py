"""The model card of a version as one HTML file that loads nothing from the network."""

from __future__ import annotations

from console.pages.template import template
from console.queries.cards import VersionCard


def card_page(found: VersionCard) -> str:
    """The page as HTML."""
    return template("card.html.jinja").render(found=found, card=found.card)
