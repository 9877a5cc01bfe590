"""What a query joins to its rows is what was known at their time, whatever is known by now."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from millrace.workload.ends import Join, Query

START = datetime.fromisoformat("2026-01-01")


def known(rows: list[dict[str, Any]], told: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Of the table's rows of the same key that are not later the newest, one after the other."""

    def value(row: dict[str, Any]) -> Any:
        keys = (row["shop"], row["kind"])
        past = [one for one in told if None not in keys and (one["shop"], one["kind"]) == keys]
        past = [one for one in past if row["at"] is not None and one["since"] <= row["at"]]
        return max(past, key=lambda one: (one["since"], one["rating"]))["rating"] if past else None

    return sorted((row["id"], value(row)) for row in rows)


@pytest.mark.parametrize("seed", range(40))
def test_no_row_is_told_what_came_after_it(seed: int) -> None:
    drawn = random.Random(seed)

    def moment() -> datetime:
        return START + timedelta(hours=drawn.randrange(30))

    def key() -> dict[str, Any]:
        return {"shop": drawn.choice(["a", "b", None]), "kind": drawn.randrange(2)}

    rows = [{"id": place, "at": drawn.choice([moment(), None]), **key()} for place in range(60)]
    told = [{"since": moment(), "rating": drawn.randrange(99), "later": place, **key()} for place in range(25)]
    schema = pa.schema([("id", "int64"), ("at", pa.timestamp("us")), ("shop", "string"), ("kind", "int64")])
    database = duckdb.connect()
    database.register("orders", pa.Table.from_pylist(rows, schema))
    database.register("shops", pa.Table.from_pylist(told))
    join = Join(table="shops", key=("shop", "kind"), at="at", since="since", columns=("rating",))
    twice = Join(table="shops", key=("shop", "kind"), at="at", since="since", columns=("since",))
    query = Query(schedule="rate(1 day)", feed="training", sql="SELECT * FROM orders -- all", joins=(join, twice))
    result = database.sql(query.statement)
    assert result.columns == ["id", "at", "shop", "kind", "rating", "since"]
    found = result.fetchall()
    assert sorted((row[0], row[4]) for row in found) == known(rows, told)
    assert all(row[5] is None or row[5] <= row[1] for row in found)
