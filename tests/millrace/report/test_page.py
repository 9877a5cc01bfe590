"""The page is whole, says what the story says, escapes what it is given and asks nothing of the network."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from millrace.report.page import page
from millrace.report.story import Story

VOID = {"meta", "link"}


class Outline(HTMLParser):
    """The text of the page by element; raises where tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: dict[str, list[str]] = {}
        self.ids: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.found.setdefault(self.open[-1] if self.open else "", []).append(data)


def test_every_part_is_there_and_every_tag_is_closed(story: Any) -> None:
    assert Outline(page(story)).ids == ["watched", "happened", "arrived", "trained", "judged", "traced", "paid"]


def test_a_part_without_content_is_left_out(story: Any) -> None:
    bare = Story(workload="x", question="?", summary="", made_at=story.made_at, stage="local")
    assert Outline(page(bare)).ids == []


def test_asks_nothing_of_the_network(story: Any) -> None:
    html = page(story)
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:,)[^\"')\s>]+", html) == []
    assert not re.search(r"<script|@import|http-equiv", html)


def test_what_it_is_given_is_escaped(story: Any) -> None:
    html = page(replace(story, question="<script>alert(1)</script>", notes=('"&<b>',)))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "&quot;&amp;&lt;b&gt;" in html


def test_rows_are_counted_and_none_is_lost(story: Any) -> None:
    text = " ".join(Outline(page(story)).found["p"])
    assert "13,344 rows came in 10 drops; 13,295 were accepted and 49 quarantined" in text


def test_each_window_has_its_figures_under_the_pointer(story: Any) -> None:
    tips = Outline(page(story)).found["title"]
    assert sum("× bound" in tip for tip in tips) == 25 + 24
    assert any("vicprice" in tip and "31.20 × bound" in tip for tip in tips)


def test_an_alarming_window_differs_by_shape_not_only_by_colour(story: Any) -> None:
    over = sum(window.drift > 1 for window in story.windows)
    over += sum((window.error or 0) > 1 for window in story.windows)
    assert page(story).count('class="mark over"') == over
    assert re.search(r'<path d="[^"]+" class="mark over"', page(story))


def test_costs_add_up(story: Any) -> None:
    assert sum(cost.usd for cost in story.costs) == pytest.approx(1.4016)
    assert '<td class="number strong">1.40</td>' in page(story)
