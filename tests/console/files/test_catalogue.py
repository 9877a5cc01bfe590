"""Every format of files with rows: its columns by name, in pieces, and some of its rows by themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.console.files.catalogue import TABLE_FILES, TABLES, cut_into, first_lines
from millrace.console.new.read import READERS
from millrace.contract.schema import Column, Table
from millrace.files.catalogue import FORMATS, format_in, read_drop
from millrace.files.lines import BOM
from tests import hostile

TABLE = Table(name="rows", columns=(Column(name="id", kind="string"), Column(name="x", kind="float64")))
ROWS = [(f"row {number}", number / 4) for number in range(7)]
NAMES = ["id", "x"]


def csv(path: Path) -> None:
    path.write_bytes(BOM + "\n".join(["", "id,x", *(f'"{name}",{x}' for name, x in ROWS)]).encode())


def jsonlines(path: Path) -> None:
    path.write_text("".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in ROWS))


def parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([dict(zip(NAMES, row, strict=True)) for row in ROWS]), path)


WRITERS: Mapping[str, Callable[[Path], None]] = {"csv": csv, "jsonlines": jsonlines, "parquet": parquet}


def written(form: str, folder: Path) -> Path:
    WRITERS[form](path := folder / "rows.dat")
    assert format_in(path, TABLE) == form
    return path


def rows_of(paths: Sequence[Path], table: Table = TABLE) -> list[tuple[object, ...]]:
    parts = [part for path in paths for part in read_drop(path, table)]
    assert not any(part.unparsable for part in parts)
    return [tuple(row[name] for name in NAMES) for part in parts for row in part.rows.to_pylist()]


def test_what_is_dropped_can_be_cut_mended_and_proposed_from() -> None:
    tables = set(FORMATS) - {"image"}
    assert set(TABLE_FILES) == tables, "add its line in TABLE_FILES"
    assert set(READERS) == tables, "add its line in READERS of console/new/read.py"
    assert set(WRITERS) == tables, "add how it is written here"
    assert set(hostile.FORMATS) == tables, "add how it is damaged in FORMATS of tests/hostile.py"
    assert TABLES == "CSV, TSV, JSON lines or Parquet"


@pytest.mark.parametrize("form", TABLE_FILES)
def test_its_columns_are_known_before_it_is_sent(form: str, tmp_path: Path) -> None:
    assert TABLE_FILES[form].column_names(written(form, tmp_path), TABLE.csv) == NAMES


@pytest.mark.parametrize("form", TABLE_FILES)
@pytest.mark.parametrize(("count", "sizes"), [(1, [7]), (3, [2, 2, 3]), (9, [1] * 7)])
def test_its_pieces_have_every_row_once(form: str, count: int, sizes: list[int], tmp_path: Path) -> None:
    source = written(form, tmp_path)
    (folder := tmp_path / "pieces").mkdir()
    paths = list(cut_into(source, TABLE_FILES[form], TABLE, folder, count))
    assert [len(rows_of([path])) for path in paths] == sizes
    assert rows_of(paths) == rows_of([source]) == ROWS


@pytest.mark.parametrize("form", TABLE_FILES)
def test_some_of_its_rows_are_a_file_of_the_format(form: str, tmp_path: Path) -> None:
    source, path = written(form, tmp_path), tmp_path / "some.dat"
    wanted = [line for part in read_drop(source, TABLE) for line in part.rows["_line"].to_pylist()][1::3]
    mending = replace(TABLE, ignored=("_line",))
    TABLE_FILES[form].write_rows(source, mending, wanted, path, True)
    assert format_in(path, mending) == form
    assert rows_of([path], mending) == ROWS[1::3]
    own = [line for part in read_drop(path, mending) for line in part.rows["_line"].to_pylist()]
    assert first_lines(path, mending) == dict(zip(own, wanted, strict=True))
    # A file that has the lines of its first file keeps them.
    TABLE_FILES[form].write_rows(path, mending, own[:1], again := tmp_path / "again.dat", True)
    assert first_lines(again, mending) == {own[0]: wanted[0]}
