"""When two answers count as the same."""

import math

import pytest

from millrace.evaluation.agreement import TOLERANCE, largest_difference


@pytest.mark.parametrize(
    ("came", "expected", "largest"),
    [
        ({"value": 1, "probability": 0.75}, {"value": 1, "probability": 0.5}, 0.25),
        ({"value": "high", "confidence": 0.5}, {"value": "high", "confidence": 0.5}, 0.0),
        ({"value": "low", "confidence": 0.5}, {"value": "high", "confidence": 0.5}, math.inf),
        ({"value": 12_345.9}, {"value": 12_345.0}, 0.9 / 12_345),
        ({}, {"value": 1.0}, math.inf),
        ({"value": None}, {"value": 1.0}, math.inf),
        ({"value": math.nan}, {"value": 1.0}, math.inf),
        ({"value": 1.0}, {"value": None}, math.inf),
        ({"value": 1.0, "more": 7}, {"value": 1.0}, 0.0),
        ({"value": 1.0, "word": None}, {"value": 1.0, "word": None}, 0.0),
        ({"value": 1.0, "word": "a"}, {"value": 1.0, "word": None}, math.inf),
    ],
)
def test_the_largest_difference_over_the_fields(came, expected, largest):
    assert largest_difference([came], [expected]) == pytest.approx(largest)


def test_a_large_number_may_differ_by_as_many_digits_as_a_small_one():
    assert largest_difference([{"value": 1e6 + 1}], [{"value": 1e6}]) < TOLERANCE
    assert largest_difference([{"value": 1.001}], [{"value": 1.0}]) > TOLERANCE
