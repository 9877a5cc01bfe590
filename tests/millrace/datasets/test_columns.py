"""A contract that changes while its table has rows: columns that go, come, or change their type."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from millrace.contract.schema import Column
from millrace.datasets.commits import commit
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin
from millrace.errors import WorkloadError
from tests.millrace.datasets.test_commits import committed, rows, source

GONE = ["vicprice", "day_of_week"]


def changed(lake: Lake, **tables: Any) -> Lake:
    return Lake(lake.names, replace(lake.contract, **tables))


def without_columns(lake: Lake) -> Lake:
    table = lake.contract.rows
    for name in GONE:
        table = table.without(name)
    return changed(lake, rows=table)


def with_kind(lake: Lake, name: str, kind: Any) -> Lake:
    columns = tuple(replace(c, kind=kind) if c.name == name else c for c in lake.contract.rows.columns)
    return changed(lake, rows=replace(lake.contract.rows, columns=columns))


def table(lake: Lake) -> pa.Table:
    return committed(lake).sort_by("timestamp")


def test_rows_come_in_after_columns_went(lake: Lake) -> None:
    commit(lake, "rows", rows(0), source("a"))
    less = without_columns(lake)
    late = commit(less, "rows", rows(24).drop_columns(GONE), source("b"))
    assert (late.rows_added, late.rows_quarantined) == (24, 24), "the keys of the table are compared as before"
    for name in GONE:
        assert [cell is None for cell in table(lake)[name].to_pylist()] == [False] * 48 + [True] * 24
    assert pin(less, "t").rows == 72
    back = commit(lake, "rows", rows(96), source("c"))
    assert back.rows_added == 48
    assert table(lake)["vicprice"].null_count == 24, "a column that comes back is filled again"


def test_a_required_column_that_went_becomes_optional(lake: Lake) -> None:
    commit(lake, "rows", rows(0), source("a"))
    with lake.open("rows").update_schema(allow_incompatible_changes=True) as update:
        update.update_column("vicprice", required=True)
    assert lake.open("rows").schema().find_field("vicprice").required, "the contract has it yet"
    late = commit(without_columns(lake), "rows", rows(48).drop_columns(GONE), source("b"))
    assert late.rows_added == 48
    assert table(lake)["vicprice"].null_count == 48


def test_a_column_that_came_is_empty_in_older_rows(lake: Lake) -> None:
    commit(without_columns(lake), "rows", rows(0).drop_columns(GONE), source("a"))
    commit(lake, "rows", rows(48), source("b"))
    assert [cell is None for cell in table(lake)["vicprice"].to_pylist()] == [True] * 48 + [False] * 48


@pytest.mark.parametrize("first", ["int32", "int64"])
def test_whole_numbers_may_become_wider_and_never_narrower(lake: Lake, first: Any) -> None:
    other = "int64" if first == "int32" else "int32"
    columns = (*lake.contract.rows.columns, Column(name="count", kind=first))
    before = changed(lake, rows=replace(lake.contract.rows, columns=columns))
    counts = pa.array(range(48), pa.int64())
    cells = rows(0).append_column("count", counts.cast({"int32": pa.int32(), "int64": pa.int64()}[first]))
    commit(before, "rows", cells, source("a"))
    after = with_kind(before, "count", other)
    commit(after, "rows", rows(48).append_column("count", counts), source("b"))
    found = table(after)["count"]
    assert (found.type, pc.sum(found).as_py()) == (pa.int64(), 2 * sum(range(48)))


def test_a_column_of_another_type_says_what_to_do(lake: Lake) -> None:
    commit(lake, "rows", rows(0), source("a"))
    with pytest.raises(
        WorkloadError, match=r"vicprice: expected a float64, as the table has it \(or a new column name"
    ):
        with_kind(lake, "vicprice", "string").open("rows")
