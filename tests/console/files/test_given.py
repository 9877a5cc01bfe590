"""Files as people have them: folders, archives, workbooks and databases, made by the tools that make them."""

# ruff: noqa: DTZ001

from __future__ import annotations

import gzip
import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import pytest
import xlsxwriter

from millrace.console.files import given as files_given
from millrace.console.files.given import Room, extract, given
from millrace.console.files.grid import Grid, Inside, grid_of
from millrace.contract.csv_form import CsvForm
from millrace.contract.kinds import Kind
from millrace.contract.number_format import NumberFormat
from millrace.contract.parts import CellPart
from millrace.contract.schema import Column, Table
from millrace.errors import ConfigurationError, DropError
from millrace.files.catalogue import read_drop

KINDS: dict[str, Kind] = {
    "id": "string", "at": "timestamp", "day": "date", "n": "int64", "x": "float64", "ok": "boolean", "text": "string",
}  # fmt: skip
TABLE = Table(
    name="rows", columns=tuple(Column(name=name, kind=kind, missing_words=("NA",)) for name, kind in KINDS.items())
)
ROWS: list[list[Any]] = [
    [7, datetime(2024, 1, 1, 6, 30), date(2024, 1, 1), 1, 0.5, True, "two\nlines"],
    ["07", datetime(2024, 1, 2), date(2024, 1, 2), "NA", 2, False, 12.0],
]
TYPED = [
    {"id": "7", "at": ROWS[0][1], "day": ROWS[0][2], "n": 1, "x": 0.5, "ok": True, "text": "two\nlines"},
    {"id": "07", "at": ROWS[1][1], "day": ROWS[1][2], "n": None, "x": 2.0, "ok": False, "text": "12"},
]


def workbook(path: Path, *, titles: int = 0, gap: int = 0, name: str = "Sold", names: list[str] | None = None) -> Path:
    """The rows, below some lines of title, and with blank rows between them; a second sheet has notes."""
    book = xlsxwriter.Workbook(path, {"default_date_format": "dd/mm/yyyy hh:mm"})
    sheet = book.add_worksheet(name)
    for row in range(titles):
        sheet.write(row, 0, "Sold in 2024" if row == 0 else None)
    sheet.write_row(titles, 0, names or list(KINDS))
    for at, cells in enumerate(ROWS):
        sheet.write_row(titles + 1 + at * (1 + gap), 0, cells)
    book.add_worksheet("Notes").write(0, 0, "none")
    book.close()
    return path


def database(path: Path) -> Path:
    rows = [[str(cell) if isinstance(cell, date) else cell for cell in row] for row in ROWS]
    with closing(sqlite3.connect(path)) as held, held:
        held.execute("CREATE TABLE sold (id TEXT, at TEXT, day TEXT, n, x REAL, ok INT, text)")
        held.executemany("INSERT INTO sold VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        held.execute('CREATE VIEW "the ""late" AS SELECT * FROM sold WHERE day > \'2024-01-01\'')
    return path


def grid(path: Path, **inside: str) -> Grid:
    with given([path], Inside(**inside)) as files:
        [file] = files
        return file.grid(Inside(**inside))


def typed(found: Grid, folder: Path) -> list[dict[str, Any]]:
    """The rows as ingestion reads them, with their lines."""
    found.write(TABLE, folder / "rows.jsonl")
    [part] = read_drop(folder / "rows.jsonl", TABLE)
    assert part.unparsable == ()
    rows: list[dict[str, Any]] = part.rows.to_pylist()
    return rows


@pytest.mark.parametrize(("titles", "gap"), [(0, 0), (3, 0), (0, 2)])
def test_a_row_of_a_sheet_keeps_its_number(titles: int, gap: int, tmp_path: Path) -> None:
    rows = typed(grid(workbook(tmp_path / "sold.xlsx", titles=titles, gap=gap)), tmp_path)
    lines = [titles + 2, titles + 3 + gap]
    assert rows == [{**row, "_line": line} for row, line in zip(TYPED, lines, strict=True)]


def test_a_table_and_a_query_of_a_database(tmp_path: Path) -> None:
    path = database(tmp_path / "shop.db")
    whole = typed(grid(path, table="sold"), tmp_path)
    assert whole == [{**row, "_line": line} for line, row in enumerate(TYPED, 1)]
    assert typed(grid(path, table='the "late'), tmp_path) == [{**TYPED[1], "_line": 1}]
    assert typed(grid(path, sql="SELECT * FROM sold ORDER BY id LIMIT 1"), tmp_path) == [{**TYPED[1], "_line": 1}]


def test_a_query_cannot_change_the_database(tmp_path: Path) -> None:
    path = database(tmp_path / "shop.db")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError) as caught:
        grid(path, sql="DELETE FROM sold")
    assert (caught.value.field, path.read_bytes()) == ("--sql", before)


PARTS = [CellPart(of="size", separator="x", place=place) for place in (1, 2)]
SHARED = (Column(name="wide", kind="int64", part=PARTS[0]), Column(name="high", kind="int64", part=PARTS[1]))


@pytest.mark.parametrize(
    ("table", "names", "cells", "read", "refused"),
    [
        (replace(TABLE, columns=TABLE.columns[3:5], csv=CsvForm(decimal=",", thousands=".")), ["n", "x"],
         [[1234, 1.234], [1234.0, 5]], [(1234, 1.234), (1234, 5)], []),
        (Table(name="rows", columns=SHARED), ["size"], [["3x4"]], [(3, 4)], []),
        (Table(name="rows", columns=(Column(name="n", kind="int64"),), ignored=("far",)), ["n", "far"],
         [[1, float("inf")]], [(1,)], []),
        (replace(TABLE, columns=TABLE.columns[3:5]), ["n", "x"], [[1, 2], [1.5, 2], [1, "much"], ["3", "4.5"]],
         [(1, 2.0), (3, 4.5)], [(2, "type"), (3, "type")]),
    ],
    ids=["numbers have no marks", "a cell that columns share", "infinity that is not read", "cells of another type"],
)  # fmt: skip
def test_cells_go_through_json_lines_as_the_table_has_them(
    table: Table, names: list[str], cells: Any, read: Any, refused: Any, tmp_path: Path
) -> None:
    grid_of(tmp_path, names, cells, first=1, said="").write(table, tmp_path / "rows.jsonl")
    [part] = read_drop(tmp_path / "rows.jsonl", table)
    assert [tuple(row.values())[:-1] for row in part.rows.to_pylist()] == read
    assert [(row.line, row.reason) for row in part.unparsable] == refused


@pytest.mark.parametrize("text", ["1.234", "1.234,5", "1,5", "1234", "1_000", "12.34", "-1.234", "1e3", "٣", "much"])
@pytest.mark.parametrize("kind", ["int64", "float64"])
@pytest.mark.parametrize("own", [None, NumberFormat(decimal=",", thousands=".")])
def test_a_text_is_the_number_that_csv_says(text: str, kind: Kind, own: NumberFormat | None, tmp_path: Path) -> None:
    german = CsvForm(delimiter=";", decimal=",", thousands=".")
    table = Table(name="rows", columns=(Column(name="n", kind=kind, number_format=own),), csv=german)
    (tmp_path / "rows.csv").write_text(f"n\n{text}\n")
    grid_of(tmp_path, ["n"], [[text]], first=2, said="").write(table, tmp_path / "rows.jsonl")
    [plain], [found] = (list(read_drop(tmp_path / f"rows.{ending}", table)) for ending in ("csv", "jsonl"))
    assert found.rows.to_pylist() == plain.rows.to_pylist()
    assert len(found.unparsable) == len(plain.unparsable)


@pytest.mark.parametrize("at", [0, 2])
def test_bytes_are_told_with_their_row(at: int, tmp_path: Path) -> None:
    rows = [["a"], ["b"], ["c"]]
    with pytest.raises(ConfigurationError) as caught:
        grid_of(tmp_path, ["n"], [*rows[:at], [b"x"], *rows[at:]], first=5, said="")
    assert f"row {5 + at}" in str(caught.value.came)


def test_a_folder_and_an_archive_become_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "months"
    (folder / "north").mkdir(parents=True)
    (folder / "b.csv").write_text("n\n1\n")
    (folder / "north" / "a.csv.gz").write_bytes(gzip.compress(b"n\n2\n"))
    (folder / ".hidden").write_text("x")
    with zipfile.ZipFile(tmp_path / "months.zip", "w") as archive:
        for name in ("b.csv", "north/a.csv.gz"):
            archive.write(folder / name, name)
    for path in (folder, tmp_path / "months.zip"):
        with given([path], Inside()) as files:
            assert [file.name for file in files] == ["b.csv", "north/a.csv.gz"]
            assert [file.plain.read_text() for file in files] == ["n\n1\n", "n\n2\n"]
            assert files[1].path.read_bytes() == (folder / "north" / "a.csv.gz").read_bytes()


def test_a_workbook_may_be_packed(tmp_path: Path) -> None:
    workbook(tmp_path / "sold.xlsx")
    with zipfile.ZipFile(tmp_path / "mail.zip", "w") as archive:
        archive.write(tmp_path / "sold.xlsx", "sold.xlsx")
    with given([tmp_path / "mail.zip"], Inside()) as [file]:
        assert (file.name, file.kind) == ("sold.xlsx", "workbook")
        assert typed(file.grid(Inside()), tmp_path)[0] == {**TYPED[0], "_line": 2}


@pytest.mark.parametrize(
    "name", ["../../escaped.csv", "/escaped.csv", "north//a.csv", "./a.csv", "", 300 * "a" + ".csv"]
)
def test_a_member_whose_name_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    archive_of(tmp_path / "x.zip", [name, "b.csv"])
    with pytest.raises(ConfigurationError) as caught, given([tmp_path / "x.zip"], Inside()):
        pass
    assert (caught.value.where, caught.value.field) == ("x.zip", "names")


def archive_of(path: Path, names: list[str], content: str = "n\n1\n") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            member = zipfile.ZipInfo("x")
            member.filename = name
            archive.writestr(member, content)
    return path


def csv_of(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("n\n1\n")
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "make",
    [
        lambda folder: [csv_of(folder / "a" / "may.csv"), csv_of(folder / "b" / "may.csv")],
        lambda folder: [archive_of(folder / f"{name}.zip", ["may.csv", "june.csv"]) for name in "ab"],
        lambda folder: [archive_of(folder / "a.zip", ["may.csv", "may.csv"])] * 2,
        lambda folder: [workbook(folder / "may.xlsx"), database(folder / "may.db")],
    ],
    ids=["two folders", "two archives", "one archive", "a workbook and a database"],
)
def test_files_that_would_replace_each_other_are_refused(make: Callable[[Path], list[Path]], tmp_path: Path) -> None:
    first, second = make(tmp_path)
    with pytest.raises(ConfigurationError) as caught, given([first, second], Inside()):
        pass
    assert caught.value.field == "names"
    assert str(first) in str(caught.value.came)
    assert str(second) in str(caught.value.came)


def test_an_archive_is_bounded_as_a_whole(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "x.zip", ["a.csv", "b.csv", "c.csv"], "n\n" + "1\n" * 1000)
    assert len(extract(path, tmp_path / "enough", most_bytes=3 * 2002)) == 3
    with pytest.raises(DropError) as caught:
        extract(path, tmp_path / "less", most_bytes=3 * 2002 - 1)
    assert caught.value.reason == "too_large"


def test_archives_within_an_archive_share_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = [
        archive_of(tmp_path / f"{name}.zip", [f"{name}1.csv", f"{name}2.csv"], "n\n" + "1\n" * 1000) for name in "ab"
    ]
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        for path in inner:
            archive.write(path, path.name)
    packed = sum(path.stat().st_size for path in inner)
    for room, is_enough in ((packed + 4 * 2002, True), (packed + 4 * 2002 - 1, False)):
        monkeypatch.setattr(Room, "__init__", lambda self, room=room: vars(self).update(left=room, files=9))
        with (
            nullcontext() if is_enough else pytest.raises(ConfigurationError),
            given([tmp_path / "both.zip"], Inside()) as found,
        ):
            assert len(found) == 4


def far_cell(folder: Path, cell: str) -> Path:
    """A workbook of two cells, A1 and one so far from it that the rectangle between them has no place in memory."""
    with_cell, path = workbook(folder / "plain.xlsx"), folder / "a.xlsx"
    with zipfile.ZipFile(with_cell) as whole, zipfile.ZipFile(path, "w") as archive:
        for name in whole.namelist():
            sheet = (
                '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
                f'<row r="1"><c r="A1"><v>1</v></c></row><row r="{cell.lstrip(ascii_uppercase)}"><c r="{cell}"><v>1</v>'
                "</c></row></sheetData></worksheet>"
            )
            archive.writestr(name, sheet if "sheet1" in name else whole.read(name))
    return path


def endless(folder: Path, *, rows: bool) -> Path:
    """A database whose only view never ends, with rows or without one."""
    numbers = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
    with closing(sqlite3.connect(folder / "a.db")) as held, held:
        held.execute(f"CREATE VIEW v AS {numbers}" + " WHERE x < 0" * (not rows))
    return folder / "a.db"


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: far_cell(folder, "XFD1048576"),
        lambda folder: far_cell(folder, "CVX60000"),
        lambda folder: endless(folder, rows=True),
        lambda folder: endless(folder, rows=False),
    ],
    ids=["a far cell", "a cell less far", "rows without end", "a query without end"],
)
def test_what_would_take_all_memory_or_time_is_refused(
    make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_given, "SECONDS", 1)
    monkeypatch.setattr(files_given, "MEMORY_BYTES", 2**29)
    with pytest.raises(ConfigurationError) as caught:
        grid(make(tmp_path))
    assert (caught.value.where[:2], caught.value.field) == ("a.", "size")


@pytest.mark.parametrize("depth", [0, 60])
def test_an_archive_of_very_many_files_is_refused(depth: int, tmp_path: Path) -> None:
    """Of very many files, and of archives in archives, which would be 2^60."""
    path = archive_of(tmp_path / "0.zip", [f"{at}.csv" for at in range(2 if depth else 2_001)], "n\n1\n")
    for at in range(1, depth + 1):
        with zipfile.ZipFile(tmp_path / f"{at}.zip", "w") as archive:
            for name in "ab":
                archive.write(path, f"{name}.zip")
        path = tmp_path / f"{at}.zip"
        if path.stat().st_size > 2**20:
            break
    with pytest.raises(ConfigurationError) as caught, given([path], Inside()):
        pass
    assert caught.value.field == "files"


def test_a_file_is_no_folder_of_another(tmp_path: Path) -> None:
    """An archive may hold both names, and no folder can."""
    path = archive_of(tmp_path / "x.zip", ["a.csv", "a.csv/b.csv"])
    with pytest.raises(ConfigurationError) as caught, given([path], Inside()):
        pass
    assert caught.value.field == "names"


def without_its_end(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-300])
    return path


def with_a_broken_sheet(path: Path) -> Path:
    with zipfile.ZipFile(path) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content[: len(content) // 2] if "sheet1" in name else content)
    return path


def with_a_broken_page(path: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[4096 : 4096 + 100] = b"\xff" * 100
    path.write_bytes(content)
    return path


def with_bytes(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as held, held:
        held.execute("UPDATE sold SET text = x'00' WHERE id = '07'")
    return path


@pytest.mark.parametrize(
    ("make", "inside", "field"),
    [
        (lambda folder: without_its_end(workbook(folder / "a.xlsx")), {}, "format"),
        (lambda folder: with_a_broken_sheet(workbook(folder / "a.xlsx")), {}, "format"),
        (lambda folder: workbook(folder / "a.xlsx"), {"sheet": "May"}, "--sheet"),
        (lambda folder: workbook(folder / "a.xlsx"), {"sheet": "Notes"}, "rows"),
        (lambda folder: with_a_broken_page(database(folder / "a.db")), {"table": "sold"}, "format"),
        (lambda folder: database(folder / "a.db"), {}, "--table"),
        (lambda folder: database(folder / "a.db"), {"table": "May"}, "--table"),
        (lambda folder: database(folder / "a.db"), {"sql": "SELECT nothing FROM sold"}, "--sql"),
        (lambda folder: database(folder / "a.db"), {"sql": "SELECT * FROM sold WHERE n = 'none'"}, "rows"),
        (lambda folder: with_bytes(database(folder / "a.db")), {"table": "sold"}, "text"),
        (lambda folder: database(folder / "a.db"), {"sheet": "May"}, "--sheet"),
    ],
    ids=[
        *("a cut workbook", "a broken sheet", "no such sheet", "a sheet without rows"),
        *("a broken page", "two tables", "no such table", "a bad query", "an empty result", "bytes", "another option"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_place(
    make: Callable[[Path], Path], inside: dict[str, str], field: str, tmp_path: Path
) -> None:
    path = make(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        grid(path, **inside)
    assert (caught.value.where, caught.value.field) == (path.name, field)
    assert caught.value.expected
    assert caught.value.came


def test_lines_of_a_grid_are_json_whatever_the_cells_hold(tmp_path: Path) -> None:
    found = grid(workbook(tmp_path / "sold.xlsx", names=["id", "other", "", "n", "x", "ok", "text"]))
    found.without(["ok"]).write(TABLE, tmp_path / "rows.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines() if line]
    assert lines[0] == {
        "id": "7", "other": "2024-01-01T06:30:00", "column_3": "2024-01-01", "n": 1, "x": 0.5, "text": "two\nlines",
    }  # fmt: skip
