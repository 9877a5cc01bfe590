"""The whole page: `page(story)` is one HTML text that asks nothing of the network."""

from __future__ import annotations

from pathlib import Path

from console.pages import sections
from console.pages.markup import Markup, element
from console.pages.story import Story

STYLE = Path(__file__).with_name("style.css")


def page(story: Story) -> str:
    """The report as HTML, light or dark as the reader's system is."""
    parts = (
        sections.monitored,
        sections.happened,
        sections.arrived,
        sections.trained,
        sections.judged,
        sections.traced,
        sections.ran,
        sections.paid,
    )
    body = element(
        "body",
        element("main", sections.head(story), *(part(story) for part in parts), sections.foot(story)),
    )
    return f'<!doctype html>\n<html lang="en">{_head(story)}{body}</html>\n'


def _head(story: Story) -> Markup:
    return element(
        "head",
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'),
        element("title", f"{story.workload}: {story.question}"),
        element("style", Markup(STYLE.read_text())),
    )
