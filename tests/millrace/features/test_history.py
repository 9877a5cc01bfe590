"""What a time says by its hour, weekday and month."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.contract.expression import read_expression
from millrace.contract.schema import Column, Table
from millrace.errors import WorkloadError
from millrace.features import catalogue
from millrace.features.as_of import NONE, EntityTimes, as_of
from millrace.features.calendar import Calendar
from millrace.features.history import History
from millrace.workload.declaration import Feature

TABLE = Table(
    name="rows",
    columns=(
        Column(name="at", kind="timestamp", required=True),
        Column(name="seen", kind="timestamp_utc"),
        Column(name="load", kind="float64"),
        Column(name="sky", kind="string"),
        Column(name="twice", kind="float64", derived=read_expression("load * 2", "float64", {"load": "float64"})),
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


START = datetime(2024, 1, 1)  # noqa: DTZ001 the contract's time has no zone
PAST = History(name="past", history=("load", "heat"), entity=("city",), event_time="at", steps=3, every_hours=1.0)
SCHEMA = pa.schema([("city", pa.string()), ("at", pa.timestamp("us")), ("load", pa.float64()), ("heat", pa.int64())])


def rows(*entries: tuple[str, float, float | None]) -> pa.Table:
    """City, hours since START, load; heat is ten times the load."""
    return pa.Table.from_pylist(
        [
            {
                "city": city,
                "at": START + timedelta(hours=hours),
                "load": load,
                "heat": None if load is None else int(10 * load),
            }
            for city, hours, load in entries
        ],
        schema=SCHEMA,
    )


def test_the_steps_end_at_the_row_itself_and_are_nan_where_nothing_is_known() -> None:
    found = PAST.encode(PAST.add_steps(rows(("a", 0, 1), ("a", 1, 2), ("a", 3, None), ("b", 3, 7), ("a", 4, 5))))
    nan = np.nan
    np.testing.assert_array_equal(
        found[..., 0], [[nan, nan, 1], [nan, 1, 2], [2, nan, nan], [nan, nan, 7], [nan, nan, 5]]
    )
    np.testing.assert_array_equal(found[..., 1], found[..., 0] * 10)


def brute(here: list[tuple[int, int]], there: list[tuple[int, int]], distance: int, tolerance: int) -> list[int]:
    """The definition of `as_of`, row by row."""
    found = []
    for entity, time in here:
        fits = [
            (at, index)
            for index, (other, at) in enumerate(there)
            if other == entity and time - distance - tolerance < at <= time - distance
        ]
        found.append(max(fits)[1] if fits else NONE)
    return found


MOMENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(-9, 9)), max_size=20)


@settings(deadline=None)
@given(here=MOMENTS, there=MOMENTS, distance=st.integers(-5, 5), tolerance=st.integers(1, 6))
def test_the_join_is_its_definition(
    here: list[tuple[int, int]], there: list[tuple[int, int]], distance: int, tolerance: int
) -> None:
    def made(pairs: list[tuple[int, int]]) -> EntityTimes:
        table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return EntityTimes(entity_N=table[:, 0], time_N=table[:, 1])

    [found] = as_of(made(here), made(there), distances_T=np.array([distance]), tolerance_us=tolerance)
    assert found.tolist() == brute(here, there, distance, tolerance)


SERIES = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 12), st.none() | st.floats(-9, 9, width=32)),
    min_size=1,
    max_size=20,
    unique_by=lambda entry: entry[:2],
)


@settings(deadline=None)
@given(series=SERIES)
def test_training_scoring_and_a_request_see_the_same_bits(series: list[tuple[str, float, float | None]]) -> None:
    table = rows(*sorted(series, key=lambda entry: entry[1]))
    whole = PAST.encode(PAST.add_steps(table))
    last, before = table.slice(table.num_rows - 1), table.slice(0, table.num_rows - 1)
    scored = PAST.add_steps(last, before)
    np.testing.assert_array_equal(PAST.encode(scored)[0], whole[-1])
    plain = [
        {name: cell.isoformat() if isinstance(cell, datetime) else cell for name, cell in row.items()}
        for row in table.to_pylist()
    ]
    request = plain[-1] | {"past": [row for row in plain[:-1] if row["city"] == plain[-1]["city"]]}
    np.testing.assert_array_equal(PAST.encode_one(json.loads(json.dumps(request))), whole[-1])
    np.testing.assert_array_equal(PAST.encode_one({"past": scored["past"].to_pylist()[0]}), whole[-1])
    assert PAST.is_too_short(last, before)[0] == PAST.is_request_too_short(request)


@settings(deadline=None)
@given(series=SERIES, cut=st.integers(0, 12))
def test_no_row_sees_what_comes_after_it(series: list[tuple[str, float, float | None]], cut: int) -> None:
    """What is known after an hour is changed; nothing up to that hour may move."""
    later = [(city, at, 1000.0 if at > cut else load) for city, at, load in series]
    early = np.array([at <= cut for _, at, _ in series])
    before, after = (PAST.encode(PAST.add_steps(rows(*entries))) for entries in (series, later))
    np.testing.assert_array_equal(before[early], after[early])
    assert not (after[early] == 1000.0).any()


def test_of_two_rows_at_one_time_the_newer_table_counts() -> None:
    [[*_, known]] = PAST.encode(PAST.add_steps(rows(("a", 2, 9)), rows(("a", 2, 1))))[..., 0]
    assert known == 9


@settings(deadline=None)
@given(series=SERIES)
def test_the_pasts_of_many_requests_are_those_of_each(series: list[tuple[str, float, float | None]]) -> None:
    """Every hour of each city as a request; one whose past has another form is unknown, and disturbs none."""
    plain = [
        row | {"at": row["at"].isoformat()} for row in rows(*sorted(series, key=lambda entry: entry[1])).to_pylist()
    ]
    requests = [
        row | {"past": [one for one in plain[:place] if one["city"] == row["city"]]} for place, row in enumerate(plain)
    ]
    broken = {"at": "soon", "past": []}
    table = pa.table({"row": list(range(len(requests) + 1))})
    found = PAST.encode(PAST.add_requested(table, [broken, *requests]))
    assert np.isnan(found[0]).all()
    for one, request in zip(found[1:], requests, strict=True):
        np.testing.assert_array_equal(one, PAST.encode_one(request))


@pytest.mark.parametrize(
    "past",
    [None, "x", [1.0], [{"at": "2024-01-01", "load": "much"}], [{"load": 1}], [{"at": "soon"}], [1] * 5],
)
def test_a_past_of_another_form_is_refused(past: object) -> None:
    with pytest.raises(ValueError, match=r"past|numbers"):
        PAST.encode_one({"at": "2024-01-01T00:00:00", "load": 1, "heat": 1, "past": past})


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        (Feature(name="past", history=("load",), hours=1), "2 to 4096 whole steps"),
        (Feature(name="past", history=("load",), hours=5, every_hours=2), "2 to 4096 whole steps"),
        (Feature(name="past", history=("sky",), hours=4), "sky: expected a number in a history, got 'a string'"),
        (Feature(name="past", history=("twice",), hours=4), "a number in a history, got 'a derived float64'"),
        (Feature(name="load", history=("load",), hours=4), "a name that no column"),
        (Feature(name="numbers", history=("load",), hours=4), "a name that no column"),
    ],
)
def test_a_history_that_cannot_work_stops_at_synth(feature: Feature, expected: str) -> None:
    with pytest.raises(WorkloadError, match=expected):
        catalogue.declare([feature], TABLE)
