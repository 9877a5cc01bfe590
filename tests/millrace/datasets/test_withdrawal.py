"""A drop is taken out again: later versions are without it, earlier ones as they were."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.expressions import And, GreaterThanOrEqual, LessThanOrEqual
from pyiceberg.table import Table as IcebergTable
from pyiceberg.types import LongType

from millrace.contract.schema import Table
from millrace.datasets.commits import commit, rows_in
from millrace.datasets.iceberg import may_hold
from millrace.datasets.read import read_snapshot, times
from millrace.datasets.row_files import RowFiles
from millrace.datasets.tables import Lake
from millrace.datasets.withdrawal import matching, take_out, withdraw
from millrace.errors import SnapshotError
from tests.millrace.datasets.test_commits import committed, rows, source


def test_bytes_whose_rows_have_left_come_again_once(lake: Lake) -> None:
    commit(lake, "rows", rows(0), source("bad.parquet"))
    commit(lake, "rows", rows(48), source("good.parquet"))
    assert withdraw(lake, "rows", "bad.parquet", cause="r") == 48
    assert set(committed(lake)["_source"].to_pylist()) == {"good.parquet"}
    again = commit(lake, "rows", rows(0), source("again.parquet", digest="bad.parquet"))
    assert (again.rows_added, again.rows_total, again.duplicate_of) == (48, 96, None)
    third = commit(lake, "rows", rows(0), source("third.parquet", digest="bad.parquet"))
    assert (third.rows_added, third.duplicate_of) == (0, "s3://landing/again.parquet?versionId=1")
    first = commit(lake, "rows", rows(0), source("bad.parquet"))
    assert (first.rows_added, first.rows_total) == (48, 48), "a retry of the first run says what it did then"
    assert rows_in(lake.open("rows")) == 96
    assert commit(lake, "rows", rows(48), source("copy.parquet", digest="good.parquet")).duplicate_of is not None


def test_a_table_that_is_not_there_or_has_no_such_row_is_not_touched(lake: Lake) -> None:
    assert withdraw(lake, "labels", "x", cause="r") == 0
    commit(lake, "rows", rows(0), source("a.parquet"))
    snapshot = lake.open("rows").metadata.current_snapshot_id
    assert withdraw(lake, "rows", "x", cause="r") == 0
    assert lake.open("rows").metadata.current_snapshot_id == snapshot


STRANGE = "Claim-No. (€) [x] a.b"
"""A name with a dot, as files have them, is no path into a struct."""


@pytest.fixture
def strange(lake: Lake) -> Lake:
    """The key and the event time have such a name."""

    def renamed(table: Table) -> Table:
        columns = tuple(replace(one, name=STRANGE) if one.name == "timestamp" else one for one in table.columns)
        return replace(table, columns=columns, keys=((STRANGE,),))

    contract = lake.contract
    return Lake(lake.names, replace(contract, rows=renamed(contract.rows), labels=renamed(contract.labels)))


def test_a_key_with_a_dot_in_its_name_is_found_withdrawn_and_read(strange: Lake, tmp_path: Path) -> None:
    named = [rows(first).rename_columns([STRANGE, *rows(first).column_names[1:]]) for first in (0, 48)]
    commit(strange, "rows", named[0], source("a.parquet"))
    again = commit(strange, "rows", named[0], source("b.parquet", digest="other"))
    assert again.rows_added == 0, "the keys that are held were found"
    commit(strange, "rows", named[1], source("c.parquet"))
    assert take_out(strange, "rows", lambda _: matching(named[0].slice(3, 1), [STRANGE]), {}) == 1
    iceberg = strange.open("rows")
    assert iceberg.scan().to_arrow().num_rows == 95
    schema = tmp_path / "schema.json"
    schema.write_text(iceberg.schema().model_dump_json())
    for number, task in enumerate(iceberg.scan().plan_files()):
        path = tmp_path / "files" / f"{number}.parquet"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(iceberg.io.new_input(task.file.file_path).open().read())
    found = read_snapshot(tmp_path / "files", schema, columns=["class"], event_time=STRANGE, key=(STRANGE,))
    assert found.num_rows == 95


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
        append(table, first, None, first + 5, first + 3)
    for column, (_, value) in KINDS.items():
        sizes = chance.integers(0, 9, 30)
        pairs = [(value(first), value(first + int(size))) for first, size in zip(range(-9, 51, 2), sizes, strict=True)]
        ends = [tuple(one if isinstance(one, int) else one.isoformat() for one in pair) for pair in pairs]
        said = [may_hold(table, column, low, high) for low, high in ends]
        assert said == [plans(table, column, low, high) for low, high in ends]
        assert {*said} == {True, False}


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
