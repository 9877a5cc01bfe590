"""The bounds of manifests say the same as Iceberg's own plan of a scan, without a look at the manifests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyiceberg.expressions import And, GreaterThanOrEqual, LessThanOrEqual
from pyiceberg.table import Table as IcebergTable
from pyiceberg.types import LongType

from millrace.datasets.key_ranges import may_hold
from millrace.datasets.tables import Lake

DAY, TIME = date(2020, 1, 1), datetime(2020, 1, 1)  # noqa: DTZ001 - a column without a time zone
KINDS: dict[str, tuple[pa.DataType, Callable[[int], Any]]] = {
    "narrow": (pa.int32(), lambda number: number),
    "wide": (pa.int64(), lambda number: number * 2**40),
    "day": (pa.date32(), lambda number: DAY + timedelta(days=number)),
    "time": (pa.timestamp("us"), lambda number: TIME + timedelta(seconds=number)),
    "time_utc": (pa.timestamp("us", "UTC"), lambda number: TIME.replace(tzinfo=UTC) + timedelta(seconds=number)),
}
SCHEMA = pa.schema([pa.field(name, kind) for name, (kind, _) in KINDS.items()])


def append(table: IcebergTable, *numbers: int | None) -> None:
    cells = [[None if one is None else value(one) for one in numbers] for _, value in KINDS.values()]
    table.append(
        pa.Table.from_arrays([pa.array(*each) for each in zip(cells, SCHEMA.types, strict=True)], schema=SCHEMA)
    )


@pytest.fixture
def table(lake: Lake) -> IcebergTable:
    name = lake.names.platform.database, "ranges"
    return lake.catalog.create_table(name, schema=SCHEMA, location=lake.location("rows"))


def plans(table: IcebergTable, column: str, low: Any, high: Any) -> bool:
    wanted = And(GreaterThanOrEqual(term=column, value=low), LessThanOrEqual(term=column, value=high))
    return bool([*table.scan(row_filter=wanted).plan_files()])


def test_bounds_say_what_iceberg_plans(table: IcebergTable) -> None:
    chance = np.random.default_rng(7)
    for first in (0, 10, 11, 40):
        append(table, first, first + 5, first + 3)
    for column, (_, value) in KINDS.items():
        sizes = chance.integers(0, 9, 30)
        pairs = [(value(first), value(first + int(size))) for first, size in zip(range(-9, 51, 2), sizes, strict=True)]
        ends = [tuple(one if isinstance(one, int) else one.isoformat() for one in pair) for pair in pairs]
        said = [may_hold(table, column, low, high) for low, high in ends]
        assert said == [plans(table, column, low, high) for low, high in ends]
        assert {*said} == {True, False}


def test_a_file_with_a_null_may_still_hold_the_range(table: IcebergTable) -> None:
    append(table, 1, None, 3)
    assert may_hold(table, "narrow", 2, 2)
    assert not may_hold(table, "narrow", 4, 4)


def test_what_comes_and_what_leaves_is_seen(table: IcebergTable) -> None:
    assert not may_hold(table, "narrow", 0, 9), "a table without a snapshot"
    append(table, 1)
    append(table, 5)
    assert may_hold(table, "narrow", 5, 5)
    table.delete("narrow = 5")
    assert not may_hold(table, "narrow", 5, 5)
    assert may_hold(table, "narrow", 1, 1)


def test_a_column_that_became_wider_keeps_its_former_bounds(table: IcebergTable) -> None:
    append(table, 1)
    with table.update_schema() as update:
        update.update_column("narrow", field_type=LongType())
    assert may_hold(table, "narrow", 1, 2**40)
    assert not may_hold(table, "narrow", 2, 2**40)
