"""The page is whole, shows what the report holds, escapes it and loads nothing from the network.

Its words are in tests/console/recorded/pages: the whole page, and for each variant what it has instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from difflib import unified_diff
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from millrace.console.pages.page import page
from millrace.console.pages.plot import Scale, ticks
from millrace.console.pages.summary import accepted_rows, summary
from millrace.console.pages.template import POLICY
from millrace.console.pages.weeks import CHARACTER, LEFT, RIGHT, WIDTH, weeks
from millrace.console.queries.monitoring import ChampionPeriod
from millrace.console.queries.report import WorkloadReport
from tests.console.pages.variants import VARIANTS, bare
from tests.recorded import compare, compare_folder

VOID = {"meta", "link", "img"}
PARTS = [
    "monitoring",
    "timeline",
    "drops",
    "models",
    "lineage",
    "cost",
]
RECORDED = Path(__file__).parents[1] / "recorded/pages"


class Outline(HTMLParser):
    """The text of the page by element; raises where tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.lines: list[str] = []
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
        if data.strip() and "style" not in self.open:
            self.lines.append(f"{self.open[-1]}: {' '.join(data.split())}")


def file_of(variant: str) -> str:
    return f"{variant.replace(' ', '-')}.txt"


def test_the_words_of_the_page_are_recorded(report: WorkloadReport) -> None:
    compare(RECORDED / "page.txt", "\n".join(Outline(page(report)).lines))
    compare_folder(RECORDED, {"page.txt", *map(file_of, VARIANTS)})


@pytest.mark.parametrize("name", VARIANTS)
def test_what_a_variant_has_instead_is_recorded(report: WorkloadReport, name: str) -> None:
    before, now = Outline(page(report)).lines, Outline(page(VARIANTS[name](report))).lines
    added = [line[1:] for line in unified_diff(before, now, n=0, lineterm="") if re.match(r"\+(?!\+)", line)]
    assert added, "a variant shows something else"
    compare(RECORDED / file_of(name), "\n".join(added))


@pytest.mark.parametrize("name", VARIANTS)
def test_no_page_may_ask_the_network_or_shows_markup_of_its_data(report: WorkloadReport, name: str) -> None:
    html = page(VARIANTS[name](report))
    assert not re.search(r"<(north|b|price)>", html)
    policies = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert [unescape(policy) for policy in policies] == [POLICY]


def test_every_part_is_there_and_a_part_without_content_is_left_out(report: WorkloadReport) -> None:
    assert Outline(page(report)).ids == PARTS
    assert Outline(page(bare(report))).ids == []
    assert Outline(page(replace(bare(report), models=report.models[1:2]))).ids == ["models"]


def test_what_it_is_given_is_escaped(report: WorkloadReport) -> None:
    html = page(replace(report, question="<script>alert(1)</script>"), extra_notes=['"&<b>'])
    assert "<script" not in html
    assert "&#34;&amp;&lt;b&gt;" in html


def test_rows_that_left_for_a_later_version_are_not_counted_twice(report: WorkloadReport) -> None:
    first, *others = [drop for drop in report.drops if drop.feed == "training"]
    later = replace(first, replaced=first.accepted)
    assert accepted_rows([first, later, *others]) == accepted_rows([first, *others])
    # The run of the first version may be gone from the history.
    assert accepted_rows([replace(later, accepted=7)]) == [("training rows accepted", 7)]


def test_recent_decisions_of_the_live_version_are_told_only_where_they_are_worse(report: WorkloadReport) -> None:
    found = VARIANTS["worse decisions"](report)
    assert "were worse" in summary(found)
    better = tuple(replace(window, mean_error=0.01) for window in found.windows)
    others = tuple(replace(window, version="1") for window in found.windows)
    for windows in (better, others):
        assert "were worse" not in summary(replace(found, windows=windows))


STOP = WIDTH - RIGHT
RECORDED_TIME_AXIS = Path(__file__).parents[1] / "recorded/charts"


@pytest.mark.parametrize("length", [1, 5, 7, 20, 45, 61, 90, 181, 300, 400, 800, 2000, 9000])
@pytest.mark.parametrize("first", [date(2024, 7, 1), date(2024, 7, 13), date(2023, 12, 31)])
def test_labels_have_room(first: date, length: int) -> None:
    found = list(ticks(Scale(low=first.toordinal(), high=first.toordinal() + length, start=LEFT, stop=STOP)))
    assert found
    for (x, label), (after, _) in pairwise(found):
        assert after - x >= 4 + CHARACTER * len(label) - 1
    years = [label[-4:] for _, label in found if label[-4:].isdigit()]
    assert found[0][1].endswith(years[0])
    assert len(set(years)) == len(years)


def high(report: WorkloadReport, column: str) -> WorkloadReport:
    """The first window is the highest one."""
    first, *others = (replace(each, ratios=each.ratios | {"input-drift": 0.5}) for each in report.windows)
    highest = replace(first, ratios=first.ratios | {"input-drift": 5.64}, column=column)
    return replace(report, windows=(highest, *others))


def short_lived(report: WorkloadReport) -> WorkloadReport:
    today = report.windows[-1].end
    return replace(report, champions=(ChampionPeriod(version="1", start=today, end=today),))


CHARTS: Mapping[str, Callable[[WorkloadReport, WorkloadReport], WorkloadReport]] = {
    "of the clock": lambda now, _: now,
    "of another time": lambda _, past: past,
    # Rows of two years, all judged today: the alarm stands at the old ones.
    "of both": lambda now, past: replace(past, windows=(*past.windows, *now.windows)),
    # Two have a label.
    "no room for a version": lambda now, _: short_lived(now),
    "a high mark at the left": lambda _, past: high(past, "entfernung_km"),
    "a long name": lambda _, past: high(past, "a" * 80),
}


@pytest.mark.parametrize("name", CHARTS)
def test_the_chart_is_recorded(name: str, report: WorkloadReport, past_report: WorkloadReport) -> None:
    svg = weeks(CHARTS[name](report, past_report))
    compare(RECORDED_TIME_AXIS / f"{name.replace(' ', '-')}.svg", svg.replace("><", ">\n<"))
    compare_folder(RECORDED_TIME_AXIS, {f"{each.replace(' ', '-')}.svg" for each in CHARTS})
