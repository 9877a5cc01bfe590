"""The page in a real browser whose every name leads nowhere: it opens whole, asks for nothing, complains of nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from millrace.console.pages.page import page
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.report import WorkloadReport
from tests.console.browser import drive, packed

pytestmark = packed


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page."""

    dom: str
    asked: list[str]
    """Addresses the page asked for, also where that came to nothing."""
    complaints: list[str]
    """What its console says."""
    crossed: list[str]
    """The labels of the chart of windows that overlap another one or reach over its edge."""
    tooWide: list[str]
    """The tables that are wider than a window of 390 pixels has room for."""
    reachesOver: int
    """The pixels by which the page is wider than that window, with every fold open."""
    height: int
    """Of the page with its folds closed, in a window of 1280 pixels."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Seen]:
    """Opens a page."""
    folder = tmp_path_factory.mktemp("browser")

    def open_(html: str) -> Seen:
        path = folder / "report.html"
        path.write_text(html)
        return Seen(**drive(Path(__file__).with_name("opened.mjs"), path.as_uri(), folder))

    return open_


def test_the_page_opens_without_a_network(report: WorkloadReport, seen: Callable[[str], Seen]) -> None:
    opened = seen(page(report))
    assert opened.complaints == []
    assert opened.asked == []
    assert opened.dom.count("<section") == 6
    assert opened.dom.count("<svg") == page(report).count("<svg")
    assert opened.reachesOver <= 0
    assert opened.height <= 3000


BAD = '<img src="http://example.org/x.png"></main><script>notThere()</script>'


def test_what_came_into_the_page_neither_runs_nor_loads(report: WorkloadReport, seen: Callable[[str], Seen]) -> None:
    opened = seen(page(report).replace("</main>", BAD))
    assert not any("notThere is not defined" in complaint for complaint in opened.complaints)
    assert sum("Content Security Policy" in complaint for complaint in opened.complaints) == 2


def test_the_drops_fit_into_a_narrow_window(report: WorkloadReport, seen: Callable[[str], Seen]) -> None:
    long = replace(report.drops[0], name="training/same_rows_other_name.csv", accepted=0, quarantined=200_000,
                   reasons=(ReasonCount(reason="duplicate_key", rows=200_000, example="x"),))  # fmt: skip
    repeated = replace(report.drops[0], accepted=0, repeats="bestellungen-2026-11-21-0600.csv")
    opened = seen(page(replace(report, drops=(*report.drops, long, repeated))))
    assert "drops" not in opened.tooWide


def test_no_label_of_the_chart_overlaps_another_or_is_cut_off(
    report: WorkloadReport, past_report: WorkloadReport, seen: Callable[[str], Seen]
) -> None:
    assert seen(page(report)).crossed == []
    # The highest window is the first one, and its column has a long name.
    column, ratios = "durchschnittliche_entfernung_km_im_vormonat", {"input-drift": 900.0}
    first = replace(past_report.windows[0], column=column, ratios=past_report.windows[0].ratios | ratios)
    windows = (first, *past_report.windows[1:])
    assert seen(page(replace(past_report, windows=windows))).crossed == []
