"""The page is whole, says what the story says, escapes what it is given and asks nothing of the network."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from console.pages.page import page
from console.pages.story import Story, Window

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
    assert Outline(page(story)).ids == [
        "watched",
        "happened",
        "arrived",
        "trained",
        "judged",
        "traced",
        "ran",
        "paid",
    ]


def test_a_part_without_content_is_left_out(story: Any) -> None:
    bare = Story(workload="x", question="?", summary="", made_at=story.made_at, stage="local")
    assert Outline(page(bare)).ids == []


def test_asks_nothing_of_the_network(story: Any) -> None:
    html = page(story)
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:,)[^\"')\s>]+", html) == []
    assert not re.search(r"<script|@import|http-equiv|https?://", html)


@pytest.mark.parametrize(
    "calling", ['<img src="http://x.y/z">', "<a href=https://x.y>", "p{background:url(http://x.y)}"]
)
def test_something_that_asks_the_network_is_seen(story: Any, calling: str) -> None:
    html = page(story).replace("</style>", f"{calling}</style>")
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:,)[^\"')\s>]+", html)


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
    assert sum("× bound" in tip for tip in tips) == 25 + 24 + 22
    assert any("vicprice" in tip and "31.20 × bound" in tip for tip in tips)


def test_an_alarming_window_differs_by_shape_not_only_by_colour(story: Any) -> None:
    over = sum(window.drift > 1 for window in story.windows)
    over += sum((window.error_in_a_row or 0) > 1 for window in story.windows)
    assert page(story).count('class="mark over"') == over
    assert re.search(r'<path d="[^"]+" class="mark over"', page(story))


def test_costs_add_up(story: Any) -> None:
    assert sum(cost.usd for cost in story.costs) == pytest.approx(1.4016)
    assert '<td class="number strong">1.40</td>' in page(story)


def test_a_cause_is_told_where_there_is_one(story: Any) -> None:
    html = page(story)
    assert html.count("because of") == 1
    assert "because of alarm: input drift" in html


def test_no_line_is_drawn_over_windows_that_are_not_known(story: Any) -> None:
    def lines(windows: tuple[Window, ...]) -> int:
        return page(replace(story, windows=windows)).count('class="trace"')

    gap = tuple(replace(each, drift=None) if number == 5 else each for number, each in enumerate(story.windows))
    assert (lines(story.windows), lines(gap)) == (2, 3)


def test_windows_of_which_nothing_is_known_are_no_error(story: Any) -> None:
    bare = tuple(replace(each, drift=None, error=None, error_in_a_row=None) for each in story.windows)
    assert "mark over" not in page(replace(story, windows=bare, reigns=(), alarms=()))
