"""The picture of what came by what was answered: its marks stand where their figures say."""

from __future__ import annotations

import re

from millrace.console.pages.truth_by_answer import truth_by_answer
from millrace.evaluation.evidence import AnswerBin, TruthByAnswer

BINS = tuple(
    AnswerBin(rows=30, value=value, truth_low=value - 4, truth=value + 2, truth_high=value + 9)
    for value in (10.0, 20.0, 30.0)
)
PLAIN = TruthByAnswer(name="", quantiles=(0.1, 0.9), bins=BINS)


def test_what_came_above_the_answer_lies_above_the_diagonal() -> None:
    svg = truth_by_answer(PLAIN)
    diagonal = r'<line x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)" class="diagonal"'
    ((x1, y1, x2, y2),) = (map(float, found) for found in re.findall(diagonal, svg))
    dots = [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg)]
    assert len(dots) == 3
    assert all(y < y1 + (y2 - y1) * (x - x1) / (x2 - x1) for x, y in dots)
    assert svg.count('class="spread"') == 3
    assert "30 rows\nanswered 10\ncame 12\n0.1 and 0.9 quantile 6 and 19" in svg
    assert "<polygon" not in svg


def test_the_answered_interval_is_an_area_around_the_diagonal() -> None:
    bins = tuple(one.model_copy(update={"lower": one.value - 5, "upper": one.value + 5}) for one in BINS)
    svg = truth_by_answer(TruthByAnswer(name="24 h", quantiles=(0.1, 0.9), bins=bins))
    (points,) = re.findall(r'<polygon points="([^"]+)" class="fan"', svg)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert len(places) == 6
    assert [x for x, _ in places[:3]] == [x for x, _ in reversed(places[3:])]
    assert all(upper < lower for (_, upper), (_, lower) in zip(places[:3], reversed(places[3:]), strict=True))
    assert "what was answered, 24 h" in svg


def test_one_answer_for_all_rows_is_drawn_too() -> None:
    same = AnswerBin(rows=20, value=5, truth_low=5, truth=5, truth_high=5)
    assert "<circle" in truth_by_answer(TruthByAnswer(name="", quantiles=(0.1, 0.9), bins=(same,)))
    assert truth_by_answer(TruthByAnswer(name="", quantiles=(0.1, 0.9), bins=())) == ""
