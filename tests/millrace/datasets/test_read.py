from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.datasets.read import read_snapshot, times
from millrace.datasets.row_files import RowFiles
from millrace.errors import SnapshotError

START = datetime.fromisoformat("1996-12-01")


def part(
    path: Path, hours: list[int], *, names: tuple[str, str, str] = ("at", "price", "label"), **columns: Any
) -> None:
    """A data file with field ids 1, 2, 3 and a column of another table's life, 4."""
    fields = [
        pa.field(name, kind, metadata={"PARQUET:field_id": str(number)})
        for number, (name, kind) in enumerate(
            zip((*names, "_source"), (pa.timestamp("us"), pa.float64(), pa.int32(), pa.string()), strict=True), start=1
        )
    ]
    columns = {"at": [START + timedelta(hours=h) for h in hours], "price": [h / 10 for h in hours]} | columns
    columns |= {"label": columns.get("label", [h % 2 for h in hours])}
    arrays = [
        pa.array(columns[name], field.type) for name, field in zip(("at", "price", "label"), fields, strict=False)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays.append(pa.array(["x"] * len(hours)))
    pq.write_table(pa.table(arrays, schema=pa.schema(fields)), path, write_page_checksum=True)


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    fields = [{"id": i, "name": n, "required": False, "type": "x"} for i, n in enumerate(("at", "price", "label"), 1)]
    (tmp_path / "schema.json").write_text(json.dumps({"type": "struct", "fields": fields}))
    return tmp_path / "schema.json"


def read(tmp_path: Path, schema: Path, **given: Any) -> pa.Table:
    """By both roads, which say and give the same."""
    given = {"columns": ["price", "label"], "event_time": "at", "key": ["at"]} | given
    try:
        table = read_snapshot(tmp_path / "data", schema, **given)
    except SnapshotError as error:
        with pytest.raises(SnapshotError, match=f"^{re.escape(str(error))}$"):
            read_snapshot(tmp_path / "data", schema, **given, files=RowFiles(folder=tmp_path))
        raise
    mapped = read_snapshot(tmp_path / "data", schema, **given, files=RowFiles(folder=tmp_path / "rows"))
    assert mapped.equals(table)
    assert not list((tmp_path / "rows").iterdir())
    return table


def test_rows_of_all_files_come_in_the_order_of_event_time(tmp_path: Path, schema: Path) -> None:
    part(tmp_path / "data/a/b/2.parquet", [5, 3])
    part(tmp_path / "data/1.parquet", [4, 1])
    table = read(tmp_path, schema)
    assert table.column_names == ["price", "label", "at"]
    assert table["price"].to_pylist() == [0.1, 0.3, 0.4, 0.5]


def test_columns_are_taken_by_field_id_not_by_name(tmp_path: Path, schema: Path) -> None:
    part(tmp_path / "data/old.parquet", [1], names=("at", "label", "price"))  # names swapped since
    part(tmp_path / "data/new.parquet", [2])
    table = read(tmp_path, schema)
    assert table["price"].to_pylist() == [0.1, 0.2]
    assert table["label"].to_pylist() == [1, 0]


def test_a_key_that_came_twice_is_named(tmp_path: Path, schema: Path) -> None:
    part(tmp_path / "data/1.parquet", [1, 2, 3])
    part(tmp_path / "data/2.parquet", [2])
    with pytest.raises(SnapshotError, match="got 1 repeated keys, first at=1996-12-01 02:00:00"):
        read(tmp_path, schema)


def test_equal_times_of_two_entities_are_no_duplicates(tmp_path: Path, schema: Path) -> None:
    part(tmp_path / "data/1.parquet", [1, 1], label=[0, 1])
    assert len(read(tmp_path, schema, key=["label", "at"])) == 2


def test_a_value_that_is_missing_is_refused(tmp_path: Path, schema: Path) -> None:
    part(tmp_path / "data/1.parquet", [1, 2], price=[None, 1.0])
    with pytest.raises(SnapshotError, match="price: 1 rows"):
        read(tmp_path, schema)


def test_a_file_without_the_field_id_is_refused(tmp_path: Path, schema: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"at": [START], "price": [1.0], "label": [1]}), tmp_path / "data" / "1.parquet")
    with pytest.raises(SnapshotError, match=r"1\.parquet: expected the field ids 2 \(price\)"):
        read(tmp_path, schema)


def test_an_optional_column_that_came_later_is_empty_in_older_files(tmp_path: Path, schema: Path) -> None:
    part(tmp_path / "data/new.parquet", [2])
    fields = [pa.field("at", pa.timestamp("us"), metadata={"PARQUET:field_id": "1"})]
    fields.append(pa.field("label", pa.int32(), metadata={"PARQUET:field_id": "3"}))
    pq.write_table(pa.table([[START], [1]], schema=pa.schema(fields)), tmp_path / "data/old.parquet")
    assert read(tmp_path, schema, optional=["price"])["price"].to_pylist() == [None, 0.2]


def test_a_column_outside_the_schema_is_refused(tmp_path: Path, schema: Path) -> None:
    part(tmp_path / "data/1.parquet", [1])
    with pytest.raises(SnapshotError, match="got weight"):
        read(tmp_path, schema, columns=["weight"])


def test_no_file_and_no_row_are_refused(tmp_path: Path, schema: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(SnapshotError, match="found none"):
        read(tmp_path, schema)
    part(tmp_path / "data/1.parquet", [])
    with pytest.raises(SnapshotError, match="found none"):
        read(tmp_path, schema)


def test_a_flipped_byte_is_noticed(tmp_path: Path, schema: Path) -> None:
    path = tmp_path / "data/1.parquet"
    part(path, list(range(2000)), price=list(np.random.default_rng(0).normal(size=2000)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match="CRC"):
        read(tmp_path, schema)


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.timestamp("ms"), pa.timestamp("us", "UTC"), pa.date32()])
def test_times_are_microseconds_whatever_the_column(kind: pa.DataType) -> None:
    table = pa.table({"at": pa.chunked_array([pa.array([START]).cast(kind), pa.array([START]).cast(kind)])})
    assert times(table, "at").tolist() == [START, START]
