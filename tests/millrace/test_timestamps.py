"""Moments: one text each, in the order of time."""

import pytest

from millrace.timestamps import format_utc, month, next_month, parse_utc


@pytest.mark.parametrize(
    "text", ["1997-06-01T06:00:00Z", "1997-06-01T08:00:00+02:00", "1997-06-01T06:00:00.987Z", "1997-06-01T06:00"]
)
def test_one_moment_has_one_text(text):
    assert format_utc(parse_utc(text)) == "1997-06-01T06:00:00Z"


def test_the_order_of_texts_is_the_order_of_moments():
    moments = [
        parse_utc(text) for text in ("1996-12-31T23:59:59Z", "1997-01-01T00:30:00+01:00", "1997-01-01T00:00:00Z")
    ]
    assert sorted(map(format_utc, moments)) == [format_utc(at) for at in sorted(moments)]


@pytest.mark.parametrize(
    ("at", "following"), [("1997-06-15T10:00:00Z", "1997-07-01"), ("1996-12-31T23:59:59Z", "1997-01-01")]
)
def test_the_next_month_begins_at_midnight(at, following):
    assert format_utc(next_month(parse_utc(at))) == f"{following}T00:00:00Z"
    assert month(next_month(parse_utc(at))) == following[:7]


@pytest.mark.parametrize("text", ["yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_no_moment_is_refused(text):
    with pytest.raises(ValueError):
        parse_utc(text)


def test_a_year_has_four_digits():
    assert format_utc(parse_utc("0033-04-03T15:00:00Z")) == "0033-04-03T15:00:00Z"
    assert month(parse_utc("0033-04-03T15:00:00Z")) == "0033-04"
