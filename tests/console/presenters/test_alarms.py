"""An alarm that the table gains is in titles, timeline, summary and charts, whether it starts a retraining or not."""

import re
from dataclasses import replace

import pytest

from millrace.console.pages.page import page
from millrace.console.pages.summary import summary
from millrace.console.pages.timeline import timeline
from millrace.console.queries.monitoring import raised_alarms
from millrace.console.queries.report import WorkloadReport
from millrace.monitoring.alarms import RATIO_ALARMS, exceeded
from tests.console.conftest import renewed


@pytest.fixture
def added(report: WorkloadReport, unlabelled: str) -> WorkloadReport:
    """The report as if the alarm `unlabelled` had been raised where the real one was."""
    found = renewed(report)
    return replace(found, alarms=tuple(replace(alarm, name=unlabelled) for alarm in found.alarms))


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
