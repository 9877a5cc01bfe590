"""What a time says by its hour, weekday and month."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pytest

from millrace.contract.schema import Column, Table
from millrace.errors import WorkloadError
from millrace.features import catalogue
from millrace.features.calendar import Calendar
from millrace.workload.declaration import Feature

TABLE = Table(
    name="rows",
    columns=(
        Column(name="at", kind="timestamp", required=True),
        Column(name="seen", kind="timestamp_utc"),
        Column(name="load", kind="float64"),
    ),
)


def declared(feature: Feature):
    [found] = catalogue.declare([feature], TABLE)
    return found


def test_hour_weekday_and_month_count_from_one() -> None:
    when = declared(Feature(name="when", calendar="at"))
    rows = pa.table({"at": [datetime.fromisoformat("1996-05-07T13:30"), datetime.fromisoformat("1969-12-28T23:59:59")]})
    assert when.encode(rows).tolist() == [[14, 2, 5], [24, 7, 12]]
    assert when.spec.cardinalities == (25, 8, 13)


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        (Feature(name="when", calendar="load"), "load: expected a time for a calendar, got 'a float64'"),
        (Feature(name="load", calendar="at"), "a name that no other column has"),
        (Feature(name="when", calendar="gone"), "expected columns, got 'gone'"),
    ],
)
def test_what_is_no_calendar_is_refused(feature: Feature, said: str) -> None:
    with pytest.raises(WorkloadError, match=said):
        declared(feature)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00"])
def test_a_time_beyond_the_calendar_in_utc_is_none(at: str) -> None:
    encoder = Calendar(name="when", calendar="at", parts=("hour",), optional=False)
    with pytest.raises(ValueError, match="a time as ISO text"):
        encoder.encode_one({"at": at})
