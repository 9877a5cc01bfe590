"""Shards keep every row, its order and the limit."""

from __future__ import annotations

import pyarrow as pa
import pytest

from millrace.artefact.batch import ROW
from millrace.functions.validation.shards import Shards


def table(rows: int) -> pa.Table:
    return pa.table(
        {
            "price": [number / 7 for number in range(rows)],
            "word": [None, *(f"{number:x}" * (number % 9) for number in range(1, rows))],
            "class": [0] * rows,
            "_line": pa.array(range(2, rows + 2), pa.int64()),
        }
    )


def cut(parts: list[pa.Table], columns: list[str], limit: int) -> list[bytes]:
    found: list[bytes] = []

    def put(number: int, body: bytes) -> None:
        assert number == len(found)
        found.append(body)

    shards = Shards(put, columns, limit=limit)
    for part in parts:
        shards.add(part)
    shards.finish()
    assert shards.number == len(found)
    return found


@pytest.mark.parametrize("limit", [2000, 20_000, 10**7])
@pytest.mark.parametrize("part", [1, 700, 20_000])
def test_every_row_once_in_order_within_the_limit(limit: int, part: int) -> None:
    whole = table(3000)
    bodies = cut([whole.slice(start, part) for start in range(0, 3000, part)], ["word", "price"], limit)
    found = pa.concat_tables([pa.ipc.open_stream(body).read_all() for body in bodies])
    assert found.column_names == [ROW, "word", "price"]
    assert found.equals(whole.select(["_line", "word", "price"]).rename_columns([ROW, "word", "price"]))
    assert max(map(len, bodies)) <= limit
    if part == 20_000:
        size = sum(map(len, bodies))
        assert len(bodies) <= 3 * size / limit + 1, "and no more shards than that takes"


def test_a_row_longer_than_the_limit_stands_alone() -> None:
    assert len(cut([table(3)], ["price"], 5)) == 3


def test_no_rows_no_shards() -> None:
    assert cut([table(1)[:0]], ["price"], 1000) == []
