"""How the console writes times and spans of time."""

from datetime import timedelta

from millrace.console.words import age, days, span


def test_a_span_of_moments_ends_on_the_day_before_it_ends() -> None:
    assert days("1997-04-01T00:00:00+00:00", "1997-05-01T00:00:00+00:00") == "1997-04-01 to 1997-04-30"
    assert days("1997-04-01T06:00:00+00:00", "1997-05-01T06:00:00+00:00") == "1997-04-01 to 1997-05-01"
    assert days("1997-04-01T00:00:00+00:00", "1997-04-02T00:00:00+00:00") == "1997-04-01"
    assert span("1997-04-01T00:00:00+00:00", "1997-04-02T00:00:00+00:00") == "1 April 1997"
    assert span("1997-04-01T00:00:00+00:00", "1997-05-01T00:00:00+00:00") == "1 April 1997 to 30 April 1997"


def test_an_age_is_in_its_largest_unit() -> None:
    seconds = {0: "0 s", 99: "99 s", 120: "2 min", 6000: "2 h", 3 * 86400: "3 days", -5: "0 s"}
    assert {each: age(timedelta(seconds=each)) for each in seconds} == seconds
