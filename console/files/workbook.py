"""Workbooks: xlsx, xlsm, xlsb, xls and ods. A formula has the value that was last stored with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.console.files.grid import Convertible, Grid, Inside, grid_of, stop
from millrace.errors import DropError
from millrace.files.zipped import WORKBOOKS, readable

if TYPE_CHECKING:
    from collections.abc import Sequence

ZIP, OLD = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
"""How a workbook begins: as a zip file, or as a file of an Office before 2007."""


def is_workbook(path: Path, head: bytes) -> bool:
    """Whether the file is a workbook. A damaged zip file counts as one if its name says so."""
    if head.startswith(OLD):
        return True
    if not head.startswith(ZIP):
        return False
    try:
        with readable(path) as archive:
            return bool({*archive.namelist()} & {*WORKBOOKS})
    except DropError:
        return path.suffix.lower() in (".xlsx", ".xlsm", ".xlsb", ".ods")


def read(path: Path, inside: Inside) -> Grid:
    """The rows of the sheet, the first one without a name. Rows above its names that hold one cell alone are a title.

    Raises ConfigurationError for a damaged file, one with a password, and for a sheet that is not there."""
    import python_calamine as calamine

    try:
        with calamine.CalamineWorkbook.from_path(path) as book:
            names = book.sheet_names
            name = inside.sheet or names[0]
            if name not in names:
                stop(path, "--sheet", f"one of {', '.join(names)}", name)
            sheet = book.get_sheet_by_name(name)
            top = (sheet.start or (0, 0))[0]
            cells = sheet.to_python(skip_empty_area=True)
    except calamine.PasswordError:
        stop(path, "--from", "a workbook without a password", "one with a password")
    except calamine.CalamineError as error:
        stop(path, "format", "a readable workbook", str(error)[:200])
    return _grid(path, cells, top, f"the sheet {name!r}" + f" (of {len(names)}; --sheet)" * (len(names) > 1))


def _grid(path: Path, cells: Sequence[Sequence[Any]], top: int, said: str) -> Grid:
    """`top` is the number of rows above the cells."""
    rows = [[None if cell == "" else cell for cell in row] for row in cells]
    filled = [sum(cell is not None for cell in row) for row in rows]
    titles = next((at for at, many in enumerate(filled) if many > 1), 0) if max(filled, default=0) > 2 else 0
    if not rows or not filled[titles]:
        stop(path, "rows", "names and rows", f"nothing in {said}")
    if titles:
        said += f" below row {top + titles}"
    # Columns without a name and without cells were only formatted.
    columns = zip(*rows[titles:], strict=True)
    kept = [at for at, column in enumerate(columns) if any(cell is not None for cell in column)]
    table = [[row[at] for at in kept] for row in rows[titles:]]
    while table and not any(cell is not None for cell in table[-1]):
        table.pop()
    return grid_of(path, table[0], table[1:], first=top + titles + 2, said=said)


FORMAT = Convertible(name="workbooks (xlsx, xls, ods)", options=("sheet",), begins=is_workbook, read=read)
