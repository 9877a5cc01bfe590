"""`--from` with several files, packed ones, a workbook and a database: one table, and drops that ingestion reads."""

from __future__ import annotations

import csv
import gzip
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import xlsxwriter

from millrace.console.files.given import given
from millrace.console.files.grid import Inside
from millrace.console.new import writing
from millrace.console.new.files import read_given
from millrace.console.new.proposal import Proposal, propose
from millrace.console.new.roles import Choices
from millrace.console.new.writing import write
from millrace.contract.load import load_contract
from millrace.errors import ConfigurationError
from millrace.files.catalogue import read_drop
from tests.console.new.conftest import TODAY, Row, Writer, read_path, written


def folder(rows: list[Row], path: Path) -> Path:
    """Three files, the second one packed and the third one with its columns in another order."""
    path.mkdir()
    for at, name in enumerate(["a.csv", "b.csv.gz", "c.csv"]):
        part = rows[640 * at : 640 * (at + 1)]
        names = list(part[0]) if name != "c.csv" else list(part[0])[::-1]
        with gzip.open(path / name, "wt", newline="") if name.endswith(".gz") else (path / name).open("w") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(part)
    return path


def archive(rows: list[Row], path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for file in sorted(folder(rows, path.with_suffix("")).iterdir()):
            made.write(file, f"year/{file.name}")
    return path


def workbook(rows: list[Row], path: Path) -> Path:
    with xlsxwriter.Workbook(path, {"strings_to_numbers": True}) as book:
        sheet = book.add_worksheet()
        for at, cells in enumerate([list(rows[0]), *(list(row.values()) for row in rows)]):
            sheet.write_row(at, 0, cells)
    return path


def database(rows: list[Row], path: Path) -> Path:
    with closing(sqlite3.connect(path)) as held, held:
        held.execute('CREATE TABLE market ("Half hour", "Day.of week", weekend, price, demand, Trend)')
        held.executemany("INSERT INTO market VALUES (?, ?, ?, ?, ?, ?)", [list(row.values()) for row in rows])
    return path


MADE = {
    "folder": (folder, ["training/a.csv", "training/b.csv.gz", "training/c.csv"]),
    "archive.zip": (archive, ["training/year/a.csv", "training/year/b.csv.gz", "training/year/c.csv"]),
    "market.xlsx": (workbook, ["training/market.jsonl"]),
    "market.db": (database, ["training/market.jsonl"]),
}


def written_from(path: Path, root: Path) -> tuple[Proposal, Any, int]:
    """The proposal from what lies there, what is written of it, and how many rows ingestion reads in its drops."""
    with given([path], Inside()) as files:
        found = propose(read_given(files, Inside()), Choices(name="market", label="Trend"), today=TODAY)
        here = write(found, root / "workloads", root / "drops", force=False)
    table = load_contract(here.folder).table("training")
    return found, here, sum(part.rows.num_rows for drop in here.drops for part in read_drop(drop, table))


@pytest.mark.parametrize("name", MADE)
def test_all_of_them_are_the_table_that_one_file_is(
    name: str, market: list[Row], as_csv: Writer, tmp_path: Path
) -> None:
    make, drops = MADE[name]
    plain = propose(read_path(as_csv(market)), Choices(name="market", label="Trend"), today=TODAY)
    found, here, typed = written_from(make(market, tmp_path / name), tmp_path)
    assert content(found) == content(plain)
    assert found.contract == plain.contract
    assert [path.relative_to(tmp_path / "drops").as_posix() for path in here.drops] == drops
    assert typed == len(market)


def test_pieces_of_files_of_one_stem_lie_apart(
    market: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST_BYTES", 2_000)
    path = folder(market, tmp_path / "months")
    (path / "b").mkdir()
    (path / "c.csv").rename(path / "b" / "a.csv")
    (path / "b.csv.gz").rename(path / "a.csv.gz")
    _, here, typed = written_from(path, tmp_path)
    assert len({*here.drops}) == len(here.drops) > 3
    assert typed == len(market)


def content(proposal: Proposal) -> list[Row]:
    rows: list[Row] = proposal.accepted.drop_columns("_line").to_pylist()
    return rows


def test_a_bad_row_of_several_files_is_told_with_its_file(market: list[Row], tmp_path: Path) -> None:
    path = folder(market, tmp_path / "months")
    (path / "c.csv").write_text((path / "c.csv").read_text() + "a,line,too,short\n")
    found, _, _ = written_from(path, tmp_path)
    [row] = found.refused
    assert found.place(row.line or 0) == "c.csv, line 642"


def test_columns_of_numbers_in_some_files_and_of_text_in_others_are_refused(tmp_path: Path) -> None:
    cells: dict[str, list[object]] = {"a": [None], "b": [1], "c": [1.5], "d": ["1"]}
    paths = [written(tmp_path / f"{name}.parquet", pa.table({"k": [0], "x": each})) for name, each in cells.items()]
    with pytest.raises(ConfigurationError) as caught:
        read_path(*paths)
    assert (caught.value.where, caught.value.field, str(caught.value.came)) == ("d.parquet", "x", "string")
    assert read_path(*paths[:3]).table["x"].to_pylist() == [None, 1, 1.5]


@pytest.mark.parametrize(
    ("name", "content", "field"),
    [
        ("b.csv", "Trend,price\nup,1\n", "columns"),
        ("b.csv", "Half hour;price;Trend\n1;1,5;up\n", "--from"),
        ("b.jsonl", '{"Half hour": "1", "price": 1, "Trend": "up"}\n', "--from"),
        ("b.csv.gz", "no gzip", "--from"),
    ],
)
def test_files_of_two_shapes_are_refused(name: str, content: str, field: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Half hour,price,Trend\n2024-01-01,1.5,up\n")
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        read_path(tmp_path / "a.csv", tmp_path / name)
    assert caught.value.where == name
    if name != "b.csv.gz":
        assert caught.value.field == field
