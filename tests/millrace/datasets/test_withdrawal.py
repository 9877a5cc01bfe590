"""A row, or a whole drop, is taken out again: later versions are without it, earlier ones as they were."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from millrace.contract.schema import Table
from millrace.datasets.commits import commit, rows_in
from millrace.datasets.read import read_snapshot
from millrace.datasets.tables import Lake
from millrace.datasets.withdrawal import by_drop, by_key, withdraw
from millrace.errors import WithdrawalError
from tests.millrace.datasets.test_commits import committed, rows, source


def moment(lake: Lake, place: int) -> str:
    at = rows(0)["timestamp"][place].as_py()
    return str(at.isoformat())


def test_bytes_whose_rows_have_left_come_again_once(lake: Lake) -> None:
    commit(lake, "rows", rows(0), source("bad.parquet"))
    commit(lake, "rows", rows(48), source("good.parquet"))
    assert withdraw(lake, "rows", by_drop("bad.parquet"), cause="r") == 48
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
    assert withdraw(lake, "labels", by_drop("x"), cause="r") == 0
    commit(lake, "rows", rows(0), source("a.parquet"))
    snapshot = lake.open("rows").metadata.current_snapshot_id
    assert withdraw(lake, "rows", by_drop("x"), cause="r") == 0
    assert lake.open("rows").metadata.current_snapshot_id == snapshot


@pytest.fixture
def demand(lake: Lake) -> Lake:
    """The rows have a second key, which the labels have no column for."""
    table = lake.contract.rows
    return Lake(lake.names, replace(lake.contract, rows=replace(table, keys=(*table.keys, ("nswdemand",)))))


def test_labels_without_the_column_of_a_key_go_by_the_key_of_the_rows(demand: Lake) -> None:
    commit(demand, "rows", rows(0), source("a.parquet"))
    labelled = rows(0).select(["timestamp", "class", "_line"])
    labelled = labelled.append_column("prediction_id", pa.nulls(labelled.num_rows, pa.string()))
    commit(demand, "labels", labelled, source("a.csv"))
    cells = by_key(demand, {"nswdemand": rows(0)["nswdemand"][3].as_py()})
    for _ in range(2):
        assert [withdraw(demand, table, cells, cause="r") for table in ("labels", "rows")] == [1, 1]
    labels = demand.open("labels").scan().to_arrow()["timestamp"].to_pylist()
    assert sorted(labels) == sorted(at for n, at in enumerate(rows(0)["timestamp"].to_pylist()) if n != 3)
    assert [withdraw(demand, table, cells, cause="another") for table in ("labels", "rows")] == [0, 0]


@pytest.mark.parametrize("number", [math.nan, None, b"x"], ids=str)
def test_a_cell_that_nothing_equals_is_refused(number: Any, demand: Lake) -> None:
    with pytest.raises(WithdrawalError, match="nswdemand: expected a"):
        by_key(demand, {"nswdemand": number})


@pytest.mark.parametrize("number", [math.inf, 10**400, -0.0])
def test_a_number_that_no_row_has_withdraws_nothing(number: float, demand: Lake) -> None:
    commit(demand, "rows", rows(0), source("a.parquet"))
    assert withdraw(demand, "rows", by_key(demand, {"nswdemand": number}), cause="r") == 0


@pytest.mark.parametrize("key", [{}, {"day": 1}, {"timestamp": 5}, {"timestamp": "soon"}, {"timestamp": "x", "day": 1}])
def test_what_is_no_key_is_refused(key: dict[str, Any], lake: Lake) -> None:
    with pytest.raises(WithdrawalError, match="expected"):
        by_key(lake, key)


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
    cells = by_key(strange, {STRANGE: moment(strange, 3)})
    assert withdraw(strange, "rows", cells, cause="r") == 1
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
