"""The page is whole, shows what the report holds, escapes it and loads nothing from the network."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from math import nan

import pytest

from console.pages.page import PageLink, page
from console.queries.monitoring import MonitoredWindow
from console.queries.monitoring_limits import Limit
from console.queries.quarantine import ReasonCount
from console.queries.report import WorkloadReport
from console.words import figure
from millrace.evaluation.evidence import Estimate
from millrace.evaluation.report import ErrorMeaning
from millrace.messages.train import GateVerdict
from millrace.monitoring.alarms import RATIO_ALARMS

VOID = {"meta", "link"}
UNKNOWN = dict.fromkeys(RATIO_ALARMS)


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


PARTS = ["monitoring", "timeline", "drops", "models", "runs", "lineage", "cost"]


@pytest.fixture(scope="session")
def bare(report: WorkloadReport) -> WorkloadReport:
    """A workload that was deployed and nothing else."""
    return replace(
        report,
        runs=(),
        models=(),
        monitor_runs=(),
        windows=(),
        champions=(),
        alarms=(),
        quarantined={},
        drops=(),
        lineage=(),
        usage=(),
    )


def test_every_part_is_there_and_every_tag_is_closed(report: WorkloadReport) -> None:
    assert Outline(page(report)).ids == PARTS


def test_a_part_without_content_is_left_out(bare: WorkloadReport) -> None:
    outline = Outline(page(bare))
    assert outline.ids == []
    assert "No model has been trained yet." in outline.found["p"]


def test_a_version_alone_is_shown(report: WorkloadReport, bare: WorkloadReport) -> None:
    """Also one that was registered by hand: no run, no gates, no evaluation, no curve."""
    alone = replace(bare, models=report.models[1:2])
    assert Outline(page(alone)).ids == ["models"]
    known = report.models[1].version
    by_hand = replace(known, run="", snapshot_id="", rows=None, trained_at=None, reason="", live_at=None, gates=())
    bare_model = replace(report.models[1], version=by_hand, evaluation=None, epochs=())
    html = page(replace(bare, models=(bare_model,)))
    assert "registered by hand" in html
    assert "<svg" not in html


def test_asks_nothing_of_the_network(report: WorkloadReport) -> None:
    html = page(report)
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:,)[^\"')\s>]+", html) == []
    assert not re.search(r"<script|@import|http-equiv|https?://", html)


@pytest.mark.parametrize(
    "calling", ['<img src="http://x.y/z">', "<a href=https://x.y>", "p{background:url(http://x.y)}"]
)
def test_something_that_asks_the_network_is_seen(report: WorkloadReport, calling: str) -> None:
    html = page(report).replace("</style>", f"{calling}</style>")
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:,)[^\"')\s>]+", html)


def test_what_it_is_given_is_escaped(report: WorkloadReport) -> None:
    html = page(replace(report, question="<script>alert(1)</script>"), extra_notes=['"&<b>'])
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "&#34;&amp;&lt;b&gt;" in html


def test_the_pages_of_other_workloads_are_linked_where_there_are_several(report: WorkloadReport) -> None:
    links = [PageLink(workload=name, file=f"{name}.html") for name in ("electricity", "mine")]
    html = page(report, links=links)
    assert re.findall(r'<a href="([^"]+)">(\w+)</a>', html) == [("mine.html", "mine")]
    assert Outline(html).found["nav"]
    assert 'aria-current="page">electricity<' in html
    assert "<nav" not in page(report)


def test_the_bar_of_a_drop_has_its_rows(report: WorkloadReport) -> None:
    tips = Outline(page(report)).found["title"]
    assert "1488 accepted, 48 quarantined" in tips


def test_a_file_refused_whole_and_one_with_the_bytes_of_another_have_no_rows(report: WorkloadReport) -> None:
    bare = replace(report.drops[0], accepted=0, quarantined=0, reasons=())
    why = ReasonCount(reason="columns", rows=1, example="expected the columns a, b, got a")
    refused = replace(bare, rejected="columns", reasons=(why,))
    others = replace(bare, repeats="may.csv"), replace(bare, is_superseded=True), replace(bare, replaced=12_014)
    html = page(replace(report, drops=(refused, *others)))
    cells = [re.sub("<[^>]+>", "", one) for one in re.findall(r"<td.*?</td>", html)]
    assert cells[:3] == ["–", "refused whole", "columns"]
    assert cells[4:7] == ["–", "–", "the bytes of may.csv again"]
    assert "a later version of it came before" in cells
    assert "in the place of 12,014 rows of an earlier version" in html
    assert "0 quarantined, one file refused whole" in html


def test_each_window_has_its_figures_under_the_pointer(report: WorkloadReport) -> None:
    tips = Outline(page(report)).found["title"]
    figures = [value for window in report.windows for value in (*window.ratios.values(), window.error)]
    assert sum("× bound" in tip for tip in tips) == sum(value is not None for value in figures) > 20
    assert any("vicprice" in tip and "224.00 × bound" in tip for tip in tips)


def test_an_alarming_window_differs_by_shape_not_only_by_colour(report: WorkloadReport) -> None:
    over = sum((ratio or 0) > 1 for window in report.windows for ratio in window.ratios.values())
    assert page(report).count('class="mark over"') == over > 0
    assert re.search(r'<path d="[^"]+" class="mark over"', page(report))


def test_an_alarm_that_stays_is_a_flag_of_its_own(report: WorkloadReport) -> None:
    html = page(report)
    assert html.count('class="stays"') == 3
    assert html.count('class="flag"') == 1
    assert "The alarm stays: input drift, 1997-06-01; the guard decides again" in Outline(html).found["title"]
    assert "A hollow flag: at a later monitor run the alarm stays" in html
    calm = replace(report, runs=[run for run in report.runs if run.machine != "monitor"])
    assert "A hollow flag" not in page(calm)


def test_days_after_a_rollback_have_their_mark(report: WorkloadReport) -> None:
    assert "↶" not in page(report)
    back = replace(report.champions[-1], by_rollback=True)
    html = page(replace(report, champions=(*report.champions[:-1], back)))
    assert "↶ version 2" in html
    assert "version 2 (brought back by a rollback): " in html


def test_what_the_monitors_cannot_watch_is_said_beside_the_chart(report: WorkloadReport, bare: WorkloadReport) -> None:
    limit = Limit(what="error watching is off", why="no bound was set")
    assert "Error watching is off: no bound was set." in page(replace(report, limits=(limit,)))
    assert Outline(page(replace(bare, limits=(limit,)))).ids == ["monitoring"]
    assert 'class="limits"' not in page(report)


def test_where_files_go_and_predictions_lie_is_said(report: WorkloadReport) -> None:
    cells = Outline(page(report)).found["code"]
    assert "s3://millrace-local-landing-123456789012-eu-west-1/electricity/" in cells
    assert "s3://millrace-local-lake-123456789012-eu-west-1/electricity/predictions/" in cells


def test_axes_have_their_units(report: WorkloadReport) -> None:
    shown = Outline(page(report)).found["text"]
    assert {"1 ×", "epoch", "loss"} <= set(shown)


def test_costs_add_up(report: WorkloadReport) -> None:
    total = sum(line.usd or 0 for line in report.usage)
    assert f'<td class="number strong">{total:.2f}</td>' in page(report)


def test_a_gate_without_a_number_and_an_unknown_gate_say_their_sentence(report: WorkloadReport) -> None:
    model = report.models[0]
    verdicts = (
        GateVerdict(name="baseline", passed=False, measured=None, bound=0.6, sentence="accuracy nan"),
        GateVerdict(name="fairness", passed=True, measured=1.0, bound=2.0, sentence="fair enough"),
    )
    cells = Outline(
        page(replace(report, models=(replace(model, version=replace(model.version, gates=verdicts)),)))
    ).found
    assert {"accuracy nan", "fair enough"} <= set(cells["td"])


def test_the_figures_of_any_task_are_shown(report: WorkloadReport) -> None:
    model = report.models[1]
    assert model.evaluation is not None
    shown = page(replace(report, models=(model,)))
    assert (
        "76.2% right, the naive rule 62.3% right; log loss 0.478; AUC 0.895; expected calibration error 0.104." in shown
    )
    amounts = model.evaluation.model_copy(
        update={
            "error": ErrorMeaning(name="mean absolute error", is_share=False),
            "metrics": {"error": 2.5, "mae": 2.5, "rmse": 3.25, "r2": None},
            "naive": model.evaluation.naive.model_copy(update={"metrics": {}}),
            "champion": None,
            "reliability": (),
        }
    )
    shown = page(replace(report, models=(replace(model, evaluation=amounts),)))
    assert "mean absolute error 2.5, the naive rule mean absolute error unknown; RMSE 3.250." in shown
    assert 'class="reliability"' not in shown


def test_links_of_one_kind_are_one_card_and_a_broken_one_has_its_own(report: WorkloadReport) -> None:
    assert page(report).count("<strong>drop</strong>") == 1
    drops = [link for link in report.lineage if link.what == "drop"]
    broken = replace(drops[1], state="broken", detail="there is no such object")
    html = page(replace(report, lineage=(drops[0], broken, drops[2])))
    assert html.count("<strong>drop</strong>") == 3
    assert "✗ broken" in html


def test_the_machines_have_their_failures(report: WorkloadReport) -> None:
    failed = replace(report.of("train")[0], status="FAILED")
    assert '<td class="number bad">1</td>' in page(replace(report, runs=(failed,)))


def test_no_line_is_drawn_over_windows_that_are_not_known(report: WorkloadReport) -> None:
    def lines(windows: tuple[MonitoredWindow, ...]) -> int:
        return page(replace(report, windows=windows)).count('class="trace"')

    without = replace(report.windows[4], ratios={**report.windows[4].ratios, "input-drift": None})
    gap = (*report.windows[:4], without, *report.windows[5:])
    assert lines(gap) == lines(report.windows) + 1


def test_windows_of_which_nothing_is_known_are_no_error(report: WorkloadReport) -> None:
    bare = tuple(replace(each, ratios=UNKNOWN, error=None) for each in report.windows)
    assert "mark over" not in page(replace(report, windows=bare, champions=(), alarms=()))


def test_a_panel_without_a_figure_says_why(report: WorkloadReport) -> None:
    none = dict.fromkeys(RATIO_ALARMS)
    thin = tuple(replace(one, ratios=none, error=None, labelled=0) for one in report.windows)
    shown = page(replace(report, windows=thin))
    assert "No figure: every window has too few decisions to compare with the training rows." in shown
    assert "No figure: no window that was judged has a label." in shown
    unbounded = page(replace(report, windows=tuple(replace(one, labelled=9, error_bound=None) for one in thin)))
    assert "No figure: the version has no bound on its error." in unbounded
    assert "No figure" not in page(report)


def test_a_figure_that_rounds_to_zero_has_no_sign() -> None:
    assert [figure(value) for value in (-0.0, -1e-7, 0.0, -0.25)] == ["0.000", "0.000", "0.000", "-0.250"]


def test_a_figure_stands_with_its_interval_where_it_has_one(report: WorkloadReport) -> None:
    live = report.live
    assert live is not None
    assert live.evaluation is not None
    found = {"auc": Estimate(value=0.92, low=0.9, high=0.94), "recall": Estimate(value=0.8, low=nan, high=nan)}
    metrics = {"error": 0.1, "auc": 0.92, "recall": 0.8}
    shown = replace(live, evaluation=live.evaluation.model_copy(update={"metrics": metrics, "intervals": found}))
    html = page(replace(report, models=tuple(shown if model is live else model for model in report.models)))
    assert "; AUC 0.920 (0.900 to 0.940); recall 0.800." in " ".join(html.split())
