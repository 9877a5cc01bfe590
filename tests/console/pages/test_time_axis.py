"""The axis of event time: it spans what is drawn, and what the clock says is on it only if both are of one time."""

import re
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest

from millrace.console.pages.plot import Scale, ticks, time_axis
from millrace.console.pages.weeks import CHARACTER, LEFT, NONE_LIVE, RIGHT, WIDTH, weeks
from millrace.console.queries.monitoring import ChampionPeriod, staying_alarms
from millrace.console.queries.report import WorkloadReport
from tests.console.conftest import with_older_rows

STOP = WIDTH - RIGHT


def days(scale: Scale) -> tuple[date, date]:
    return date.fromordinal(int(scale.low)), date.fromordinal(int(scale.high))


def axis(report: WorkloadReport) -> tuple[date, date]:
    return days(time_axis(report.windows, report.champions, start=LEFT, stop=STOP))


def diamonds(svg: str) -> list[float]:
    return [float(x) for x in re.findall(r'<path d="M([\d.]+) [^"]+" class="mark over"', svg)]


def flags(svg: str, kind: str) -> list[float]:
    return [float(x) for x in re.findall(rf'<path d="M([\d.]+) [^"]+" class="{kind}"', svg)]


def test_it_spans_the_windows_and_the_versions_of_their_time(report: WorkloadReport) -> None:
    assert axis(report) == (report.champions[0].start, report.champions[-1].end)
    assert axis(replace(report, champions=())) == (report.windows[0].start, report.windows[-1].end)


def test_versions_of_another_time_do_not_widen_it(past_report: WorkloadReport) -> None:
    first, last = past_report.windows[0].start, past_report.windows[-1].end
    assert axis(past_report) == (first, last)
    # Live from the first window until today: the windows keep half of the axis.
    long = ChampionPeriod(version="1", start=first, end=past_report.now.date())
    assert axis(replace(past_report, champions=(long,))) == (first, last + (last - first))


def test_flags_stand_at_the_windows_of_their_alarms_if_the_clock_is_of_another_time(
    past_report: WorkloadReport,
) -> None:
    svg = weeks(past_report, staying_alarms(past_report.names, past_report.runs))
    [raised] = flags(svg, "flag")
    # The first of the windows with the highest figure is the second one above its bound.
    assert raised == diamonds(svg)[1]
    assert ">input drift, raised 15 May 1997<" in svg
    assert set(flags(svg, "stays")) <= set(diamonds(svg))
    assert len(flags(svg, "stays")) == 3


def test_flags_stand_at_the_day_of_the_clock_if_it_is_of_the_same_time(report: WorkloadReport) -> None:
    svg = weeks(report)
    scale = time_axis(report.windows, report.champions, start=LEFT, stop=STOP)
    assert flags(svg, "flag") == [round(scale(date(1997, 5, 15).toordinal()), 1)]
    assert ">input drift, 15 May<" in svg


def test_an_alarm_on_old_rows_stands_at_them_though_the_axis_reaches_to_the_clock(
    report: WorkloadReport, past_report: WorkloadReport
) -> None:
    """Rows of two years, all judged today."""
    svg = weeks(replace(past_report, windows=(*past_report.windows, *report.windows)))
    assert flags(svg, "flag") == [diamonds(svg)[1]]


def test_of_many_flags_at_one_window_two_have_a_label(past_report: WorkloadReport) -> None:
    svg = weeks(replace(past_report, alarms=past_report.alarms * 4))
    assert len(flags(svg, "flag")) == 4
    assert svg.count(">input drift, raised 15 May 1997<") == 2


def test_a_band_without_a_number_is_a_sentence(report: WorkloadReport, past_report: WorkloadReport) -> None:
    assert "decided by" in weeks(report)
    assert NONE_LIVE not in weeks(report)
    today = report.windows[-1].end
    short = ChampionPeriod(version="1", start=today, end=today)
    for found in (past_report, replace(report, champions=(short,))):
        svg = weeks(found)
        assert NONE_LIVE in svg
        assert "decided by" not in svg
        assert 'class="version' not in svg


@pytest.mark.parametrize("length", [1, 5, 7, 20, 45, 61, 90, 181, 300, 400, 800, 2000, 9000])
@pytest.mark.parametrize("first", [date(2024, 7, 1), date(2024, 7, 13), date(2023, 12, 31)])
def test_labels_have_room(first: date, length: int) -> None:
    scale = Scale(low=first.toordinal(), high=first.toordinal() + length, start=LEFT, stop=STOP)
    found = list(ticks(scale))
    assert found
    for (x, label), (after, _) in pairwise(found):
        assert after - x >= 4 + CHARACTER * len(label) - 1
    years = [label[-4:] for _, label in found if label[-4:].isdigit()]
    assert found[0][1].endswith(years[0])
    assert len(set(years)) == len(years)


def test_a_short_axis_has_days() -> None:
    scale = Scale(low=date(2024, 12, 18).toordinal(), high=date(2025, 1, 15).toordinal(), start=LEFT, stop=STOP)
    assert [label for _, label in ticks(scale)] == ["18 Dec 2024", "25 Dec", "1 Jan 2025", "8 Jan", "15 Jan"]


def test_a_long_axis_has_some_of_the_months() -> None:
    scale = Scale(low=date(2024, 7, 1).toordinal(), high=date(2026, 11, 24).toordinal(), start=LEFT, stop=STOP)
    labels = [label for _, label in ticks(scale)]
    assert labels[:4] == ["Jul 2024", "Oct", "Jan 2025", "Apr"]


def test_the_label_of_the_highest_mark_stays_right_of_the_axis(past_report: WorkloadReport) -> None:
    """`entfernung_km 5.6 ×` at the first window was cut off."""
    ratios = {"input-drift": 5.64}
    first, *others = (replace(each, ratios=each.ratios | {"input-drift": 0.5}) for each in past_report.windows)
    high = replace(first, ratios=first.ratios | ratios, column="entfernung_km")
    svg = weeks(replace(past_report, windows=(high, *others)))
    [(x, kind)] = re.findall(r'<text x="([\d.]+)" y="[\d.]+" class="(note[^"]*)">entfernung_km 5.6 ×<', svg)
    assert (kind, float(x) >= LEFT) == ("note", True)
    long = replace(high, column="a" * 80)
    assert f">{'a' * 49}… 5.6 ×<" in weeks(replace(past_report, windows=(long, *others)))


def test_rows_of_two_months_ago_are_on_the_axis_of_the_clock(report: WorkloadReport) -> None:
    older = with_older_rows(report, timedelta(days=60))
    assert axis(older) == (report.champions[0].start, min(report.champions[-1].end, axis(older)[1]))
    assert ">input drift, 15 May<" in weeks(older)
