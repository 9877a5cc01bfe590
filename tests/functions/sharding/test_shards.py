"""Shards keep every row, its order and the limit."""

import json

import pyarrow as pa
import pytest

from functions.sharding.shards import shards
from millrace.errors import WorkloadError


def table(rows: int) -> pa.Table:
    return pa.table(
        {"price": [number / 7 for number in range(rows)], "day": [None, *range(1, rows)], "class": [0] * rows}
    )


@pytest.mark.parametrize("limit", [1, 1000, 10**6])
def test_every_row_once_in_order_within_the_limit(limit: int) -> None:
    pieces = list(shards(table(20_000), ["day", "price"], limit=limit if limit > 1 else 200))
    rows = [json.loads(line) for piece in pieces for line in piece.splitlines()]
    assert rows == [{"id": str(number), "day": number or None, "price": number / 7} for number in range(20_000)]
    assert all(len(piece) <= max(limit, 200) and piece.endswith(b"\n") for piece in pieces)


def test_a_row_longer_than_the_limit_stands_alone() -> None:
    assert len(list(shards(table(3), ["price"], limit=5))) == 3


def test_no_rows_no_shards() -> None:
    assert list(shards(table(1)[:0], ["price"], limit=100)) == []


def test_times_and_bytes_as_the_contract_reads_them() -> None:
    rows = pa.table({"at": pa.array([852163200_000_000], pa.timestamp("us")), "image": [b"\x01\xff"]})
    (piece,) = shards(rows, ["at", "image"], limit=1000)
    assert json.loads(piece) == {"id": "0", "at": "1997-01-02T00:00:00", "image": "01ff"}


def test_a_number_that_is_not_finite_is_never_sent() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        list(shards(pa.table({"price": [float("nan")]}), ["price"], limit=100))


def test_no_feature_may_take_the_rows_own_id() -> None:
    with pytest.raises(WorkloadError, match="'id'"):
        list(shards(pa.table({"id": [1]}), ["id"], limit=100))
