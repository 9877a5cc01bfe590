"""An alarm that the table gains is in titles, timeline, summary and charts, whether it starts a retraining or not."""

import re
from dataclasses import replace

import pytest

from millrace.console.pages.page import page
from millrace.console.pages.summary import summary
from millrace.console.pages.timeline import timeline
from millrace.console.presenters.catalogue import outcome
from millrace.console.presenters.monitor import EXPLANATIONS
from millrace.console.queries.monitoring import raised_alarms
from millrace.console.queries.report import WorkloadReport
from millrace.monitoring.alarms import RATIO_ALARMS, exceeded, ratios
from tests.console.conftest import renewed


@pytest.fixture
def added(report: WorkloadReport, unlabelled: str) -> WorkloadReport:
    """The report as if the alarm `unlabelled` had been raised where the real one was."""
    found = renewed(report)
    return replace(found, alarms=tuple(replace(alarm, name=unlabelled) for alarm in found.alarms))


def test_an_explanation_is_for_an_alarm_of_the_table() -> None:
    assert set(EXPLANATIONS) <= set(RATIO_ALARMS)


def test_the_outcome_of_a_monitor_run_has_its_figure(added: WorkloadReport, unlabelled: str) -> None:
    run, judged = added.of("monitor")[-1], added.monitor_runs[-1]
    published = {**run.output["publish_metrics"]["answer"], "ratios": ratios(judged.report)}
    told = outcome(replace(run, output={**run.output, "publish_metrics": {"answer": published}})).text
    figure = RATIO_ALARMS[unlabelled].ratio(judged.report)
    assert {"error 0.868 × its bound", f"share without a label {figure:.3g} × its bound"} <= set(told.split(", "))


def test_the_timeline_and_the_summary_explain_it(added: WorkloadReport) -> None:
    entry = next(entry for entry in timeline(added) if entry.what == "Alarm: unlabelled")
    assert entry.detail == "share without a label 2.00 × its bound, from 7 May to 14 May"
    assert f"the unlabelled alarm was raised ({entry.detail})" in summary(added)
    (calm,) = (entry.detail for entry in timeline(added) if entry.what.endswith("no new alarm"))
    assert "error at most 0.81" in calm
    assert "share without a label at most 2.00" in calm


@pytest.fixture
def watched(report: WorkloadReport, unlabelled: str, monkeypatch: pytest.MonkeyPatch) -> WorkloadReport:
    """The report with the alarm `unlabelled`, which starts nothing, and a run that could not read 3 decisions."""
    monkeypatch.setitem(RATIO_ALARMS, unlabelled, replace(RATIO_ALARMS[unlabelled], starts_retraining=False))
    *before, last = report.monitor_runs
    broken = replace(last, report=last.report.model_copy(update={"unreadable": 3}))
    return renewed(replace(report, monitor_runs=(*before, broken)))


def test_an_alarm_that_starts_nothing_is_on_the_timeline_in_the_summary_and_on_the_chart(
    watched: WorkloadReport,
) -> None:
    starts_none = [alarm for alarm in watched.alarms if not alarm.starts_retraining]
    assert {alarm.name for alarm in starts_none} == {"unlabelled", "unreadable"}
    assert starts_none[0].at == next(
        run.started for run in watched.monitor_runs if "unlabelled" in exceeded(run.report)
    )
    entries = [entry for entry in timeline(watched) if entry.what.startswith("Alarm: ")]
    assert len(entries) == len(watched.alarms)
    found = {entry.what: entry for entry in entries}
    assert found["Alarm: unreadable"].detail == "three unreadable decisions"
    assert found["Alarm: unlabelled"].detail.startswith("share without a label ")
    assert found["Alarm: unlabelled"].because.startswith("monitor")
    text = summary(watched)
    assert "the unreadable alarm was raised (three unreadable decisions)." in text
    assert "was released on" not in text.partition("the unlabelled alarm was raised")[2]
    assert len(re.findall(r"<title>Alarm [a-z ]+, ", page(watched))) == len(watched.alarms)


def test_a_figure_that_stays_above_raises_no_second_alarm(report: WorkloadReport) -> None:
    first, *others = report.monitor_runs
    numbers = [2, 5, 0, 1, *(0 for _ in others[3:])]
    runs = [
        replace(run, report=run.report.model_copy(update={"unreadable": number}))
        for run, number in zip(report.monitor_runs, numbers, strict=True)
    ]
    raised = [alarm.at for alarm in raised_alarms(report.names, (), runs)]
    assert raised == [first.started, report.monitor_runs[3].started]


def test_the_page_has_its_chart_with_a_mark_for_each_window(added: WorkloadReport, unlabelled: str) -> None:
    html = page(added)
    assert "Unlabelled, ratio to its bound: the share of decisions without a label" in html
    known = sum(window.ratios[unlabelled] is not None for window in added.windows)
    assert len(re.findall(r"share without a label [\d.]+ × bound", html)) == known > 5


def test_a_window_of_another_year_than_its_judgement_has_its_year(
    report: WorkloadReport, past_report: WorkloadReport
) -> None:
    def why(found: WorkloadReport) -> str:
        return next(entry.detail for entry in timeline(found) if entry.what == "Alarm: input drift")

    assert why(report).endswith(", from 7 May to 14 May")
    assert why(past_report).endswith(", from 7 May to 14 May 1995")
