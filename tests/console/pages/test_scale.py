"""Places and round values on an axis."""

from datetime import date

import pytest
from markupsafe import Markup

from millrace.console.pages.plot import Scale, element, months, short


def test_a_straight_scale_is_straight_and_ends_at_its_edges() -> None:
    scale = Scale(low=0, high=2, start=100, stop=0)
    assert [scale(value) for value in (-1, 0, 1, 2, 3)] == [100, 100, 50, 0, 0]


def test_a_logarithmic_scale_gives_each_doubling_the_same_way() -> None:
    scale = Scale(low=1, high=64, start=0, stop=6, logarithmic=True)
    assert [scale(2.0**power) for power in range(7)] == pytest.approx(list(range(7)))
    assert scale(0) == 0


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1.68, [0, 0.5, 1, 1.5]), (0.37, 0.63, [0.4, 0.5, 0.6]), (1, 30, [10, 20, 30])],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert Scale(low=low, high=high, start=0, stop=1).ticks(4 if low != 0.37 else 3) == pytest.approx(ticks)


def test_months_start_on_their_first_day() -> None:
    assert list(months(date(1996, 12, 15), date(1997, 3, 1))) == [date(1997, 1, 1), date(1997, 2, 1), date(1997, 3, 1)]


@pytest.mark.parametrize(
    ("value", "said"), [(0.125, "0.125"), (1, "1"), (0.30000000000000004, "0.3"), (1234.0, "1,234")]
)
def test_numbers_as_a_person_writes_them(value: float, said: str) -> None:
    assert short(value) == said


def test_only_markup_made_here_stays_markup() -> None:
    assert element("p", Markup("<b>"), "<i>", None, title='"') == '<p title="&#34;"><b>&lt;i&gt;</p>'
