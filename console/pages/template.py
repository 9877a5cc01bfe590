"""The Jinja templates of the pages, which lie in this folder, and the page of a model card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from millrace.console.queries.documents import VersionCard

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a page may load: nothing but its own style and pictures. It has no script, and none that came in runs.

https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Content-Security-Policy"""


def template(name: str, **filters: Callable[..., Any]) -> Template:
    """The template of this name. Every value is escaped, and a value that is missing is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    environment.globals["policy"] = POLICY
    return environment.get_template(name)


def card_page(found: VersionCard) -> str:
    """The page as HTML."""
    return template("card.html.jinja").render(found=found, card=found.card)
