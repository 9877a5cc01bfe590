"""Rows as a file: whole or not at all."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.console.cli.record_files import check_ending, export
from millrace.errors import EnvironmentNotFoundError

SCHEMA = pa.schema([("line", pa.int64()), ("reason", pa.string()), ("at", pa.timestamp("us"))])
SIX = datetime(1997, 1, 1, 6, tzinfo=UTC).replace(tzinfo=None)
ROWS = [{"line": 2, "reason": 'range, of "price"\nü', "at": SIX}, {"line": None, "reason": None, "at": SIX}]


def test_each_format_holds_the_same(tmp_path: Path) -> None:
    for ending in (".parquet", ".csv", ".jsonl"):
        assert export(ROWS, tmp_path / f"rows{ending}", SCHEMA) == 2
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == ROWS
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert lines[0] == {"line": 2, "reason": ROWS[0]["reason"], "at": "1997-01-01T06:00:00"}
    with (tmp_path / "rows.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert (found[0]["reason"], found[1]["line"]) == (ROWS[0]["reason"], "")
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-cmd|x", "'-cmd|x"),
        ("+a", "'+a"),
        ("-17.5", "-17.5"),
        ("+3e2", "+3e2"),
        ("a=1", "a=1"),
        ("\n=1+1", "'\n=1+1"),
        (" =1+1", "' =1+1"),
        ("＝1+1", "'＝1+1"),
    ],
)
def test_no_spreadsheet_runs_a_cell_of_a_csv_file(tmp_path: Path, cell: str, written: str) -> None:
    """Numbers keep their signs; the other formats keep every text as it came."""
    row = [{"line": 1, "reason": cell, "at": None}]
    for ending in (".csv", ".jsonl"):
        export(row, tmp_path / f"rows{ending}", SCHEMA)
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert [found["reason"] for found in csv.DictReader(file)] == [written]
    assert json.loads((tmp_path / "rows.jsonl").read_text())["reason"] == cell


def test_no_spreadsheet_runs_a_name_of_a_csv_file(tmp_path: Path) -> None:
    schema = pa.schema([("=cmd|'/C calc'!A0", pa.int64()), ("plain", pa.int64())])
    export([dict.fromkeys(schema.names, 1)], tmp_path / "rows.csv", schema)
    assert (tmp_path / "rows.csv").read_text().splitlines() == ["'=cmd|'/C calc'!A0,plain", "1,1"]


def test_a_list_is_json_in_a_csv_file(tmp_path: Path) -> None:
    export([{"line": 1, "reason": [1.5, "=a"], "at": None}], tmp_path / "rows.csv", SCHEMA)
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert [json.loads(found["reason"]) for found in csv.DictReader(file)] == [[1.5, "=a"]]


def test_bytes_are_base64_in_text(tmp_path: Path) -> None:
    """Of images, alone and in a list; Parquet keeps them as they are."""
    schema = pa.schema([("image", pa.binary()), ("all", pa.list_(pa.binary())), ("none", pa.binary())])
    rows = [{"image": b"\x89PNG", "all": [b"\x00", b"\xff"], "none": None}]
    for ending in (".parquet", ".csv", ".jsonl"):
        export(rows, tmp_path / f"rows{ending}", schema)
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"image": "iVBORw==", "all": '["AA==", "/w=="]', "none": ""}]
    line = json.loads((tmp_path / "rows.jsonl").read_text())
    assert line == {"image": "iVBORw==", "all": ["AA==", "/w=="], "none": None}
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == rows


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_an_error_leaves_what_was_there(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows{ending}"
    path.write_text("before")

    def broken() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        export(broken(), path, SCHEMA)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("name", "told"), [("rows.xlsx", "got '.xlsx'"), ("no/rows.csv", "expected a folder")])
def test_a_path_that_cannot_be_is_told_first(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(EnvironmentNotFoundError, match=told):
        check_ending(tmp_path / name)
