"""The axis of event time: it spans what is drawn, and what the clock says is on it only if both are of one time."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from millrace.console.pages.plot import Scale, ticks, time_axis
from millrace.console.pages.weeks import CHARACTER, LEFT, RIGHT, WIDTH, weeks
from millrace.console.queries.monitoring import ChampionPeriod, staying_alarms
from millrace.console.queries.report import WorkloadReport
from tests.recorded import compare, compare_folder

STOP = WIDTH - RIGHT
RECORDED = Path(__file__).parents[1] / "recorded/charts"


def days(scale: Scale) -> tuple[date, date]:
    return date.fromordinal(int(scale.low)), date.fromordinal(int(scale.high))


def axis(report: WorkloadReport) -> tuple[date, date]:
    return days(time_axis(report.windows, report.champions, start=LEFT, stop=STOP))


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
    "four flags at a window": lambda _, past: replace(past, alarms=past.alarms * 4),
    "no room for a version": lambda now, _: short_lived(now),
    "a high mark at the left": lambda _, past: high(past, "entfernung_km"),
    "a long name": lambda _, past: high(past, "a" * 80),
}


@pytest.mark.parametrize("name", CHARTS)
def test_the_chart_is_recorded(name: str, report: WorkloadReport, past_report: WorkloadReport) -> None:
    found = CHARTS[name](report, past_report)
    svg = weeks(found, staying_alarms(found.names, found.runs))
    compare(RECORDED / f"{name.replace(' ', '-')}.svg", svg.replace("><", ">\n<"))
    compare_folder(RECORDED, {f"{each.replace(' ', '-')}.svg" for each in CHARTS})
