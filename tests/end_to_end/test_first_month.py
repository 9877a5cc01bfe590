"""The first month with one drop a day: nothing is lost, nothing stays, and each fault is told."""

from __future__ import annotations

import re

import pytest

from tests.first_month.month import FirstMonth, live

pytestmark = pytest.mark.night("a month of days; by day fourteen months are lived through in larger drops")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> FirstMonth:
    return live(tmp_path_factory.mktemp("month"))


def test_nothing_is_lost_and_nothing_is_left(lived: FirstMonth) -> None:
    assert (lived.rows, lived.told) == (lived.expected_rows, lived.drops)
    assert (lived.fallbacks, lived.dead_letters, lived.held, lived.endpoints) == (0, 0, (), ())


def test_who_is_told_of_what(lived: FirstMonth) -> None:
    """By the first words of each mail: a lost event and a killed worker are nobody's business, they heal."""
    said = {one.day: {re.split(r"[:,]", line)[0] for line in one.mails} for one in lived.incidents}
    assert said == {
        5: set(),
        8: set(),
        11: {"REJECTED", "ALARM millrace-local-undelivered"},
        14: {"FAILED"},
        18: {"NOT TRAINED"},
        22: {"LATE"},
    }
    assert all(one.typed for one in lived.incidents if one.mails)
