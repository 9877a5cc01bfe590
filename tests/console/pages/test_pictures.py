"""The small pictures: marks stand where their figures say."""

import re

import pytest

from millrace.console.pages.reliability import reliability
from millrace.tasks.metrics import ReliabilityBin


def circles(svg: str) -> list[tuple[float, float, float]]:
    found = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', svg)
    return [(float(x), float(y), float(r)) for x, y, r in found]


def test_what_is_right_as_often_as_it_says_lies_on_the_diagonal() -> None:
    svg = reliability([ReliabilityBin(confidence=share, accuracy=share, rows=10) for share in (0.5, 0.75, 1.0)])
    (x0, y0, _), (x1, y1, _), (x2, y2, _) = circles(svg)
    assert (y1 - y0) / (x1 - x0) == pytest.approx((y2 - y1) / (x2 - x1), rel=0.02)
    assert y0 > y1 > y2


def test_what_is_less_often_right_lies_lower_and_fuller_bins_are_larger() -> None:
    (_, high, _), (_, low, large) = circles(
        reliability(
            [
                ReliabilityBin(confidence=0.9, accuracy=0.9, rows=10),
                ReliabilityBin(confidence=0.9, accuracy=0.6, rows=90),
            ]
        )
    )
    (_, _, small), *_ = circles(
        reliability(
            [
                ReliabilityBin(confidence=0.9, accuracy=0.9, rows=10),
                ReliabilityBin(confidence=0.9, accuracy=0.6, rows=90),
            ]
        )
    )
    assert low > high
    assert large > small


def test_accuracy_below_one_half_stays_inside() -> None:
    svg = reliability(
        [ReliabilityBin(confidence=0.6, accuracy=0.2, rows=5), ReliabilityBin(confidence=0.9, accuracy=0.8, rows=5)]
    )
    assert all(0 <= y <= 200 for _, y, _ in circles(svg))
    assert reliability([]) == ""


def test_answers_of_several_classes_may_be_less_sure_than_one_half() -> None:
    svg = reliability([ReliabilityBin(confidence=share, accuracy=share, rows=5) for share in (0.2, 0.4, 0.8)])
    (x0, y0, _), (x1, y1, _), (x2, y2, _) = circles(svg)
    assert (y1 - y0) / (x1 - x0) == pytest.approx((y2 - y1) / (x2 - x1), rel=0.02)
    assert ">0%<" in svg
