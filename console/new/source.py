"""Reads the user's own file as columns: text from CSV and similar formats, typed values from JSON lines and Parquet."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.files.catalogue import TABLES
from console.new.delimited import find_form, read_delimited, stop
from millrace.contract.csv_form import CsvForm
from millrace.contract.violation import QuarantinedRow
from millrace.errors import DropError
from millrace.files import jsonlines
from millrace.files.pages import check_footer
from millrace.files.sniff import HEAD_BYTES, format_of

if TYPE_CHECKING:
    import pyarrow as pa

NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
MOST_BROKEN = 0.05
"""Share of the lines that may be no rows. These lines will be quarantined."""
SHOWN = 5

LINE_ENDS = {"\x85", "\u2028", "\u2029"}
"""YAML takes these for ends of lines, so a name with one would not come back from `contract.yaml` as it was.

Python takes them for blanks: `strip` removes them at the ends of a name, so they are looked for before it."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The columns of a file, and how the file is written."""

    path: Path
    table: pa.Table
    has_typed_text: bool
    """Whether every cell is text that may mean a number, as in CSV and its kin."""
    notes: tuple[str, ...]
    """Remarks on how the file is written, if that is not the usual way. The contract says the same."""
    csv: CsvForm = field(default_factory=CsvForm)
    names_in_file: Mapping[str, str] = field(default_factory=dict)
    """The name of a column in the file by its name here, if the two differ: `{"price_2": "price"}`."""
    unparsable: tuple[QuarantinedRow, ...] = ()
    """Lines that are no rows. They are not in `table`, and will be quarantined."""


def read_source(path: Path, *, columns: Sequence[str] = (), decimal: str = "") -> Source:
    """The rows of a file.

    `columns` are the names of the columns if the file has no line of names. `decimal` is the mark before decimals, ""
    to find it. Raises ConfigurationError if the file has another format than those of `TABLE_FILES`, no rows, or
    column names that are not unique."""
    if not path.is_file():
        stop(path, "--from", "a file", "none of that name")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.strip():
        stop(path, "rows", "labelled rows", "an empty file")
    try:
        form = format_of(head)
    except DropError as error:
        stop(path, "format", TABLES, str(error))
    if columns and form != "csv":
        stop(path, "--columns", "a CSV or TSV file, which may lack a line with names", form)
    if form not in READERS:
        stop(path, "format", TABLES, form)
    # The readers keep the names of the file; here they become names that a contract takes.
    found = READERS[form](path, tuple(columns), decimal)
    if not found.table.num_rows:
        stop(path, "rows", "labelled rows", "none")
    names = _names(path, found.table.column_names)
    changed = {new: old for old, new in zip(found.table.column_names, names, strict=True) if old != new}
    notes = (*found.notes, *(f"{old!r} is called {new!r}" for new, old in changed.items()))
    return replace(found, table=found.table.rename_columns(names), names_in_file=changed, notes=notes)


def _delimited(path: Path, columns: tuple[str, ...], decimal: str) -> Source:
    form = replace(find_form(path), columns=columns)
    read = read_delimited(path, form, decimal=decimal)
    first = read.names
    if columns and len(columns) != read.width:
        stop(path, "--columns", f"{read.width} names, one for each cell of line {read.line}", len(columns))
    # A number is no name, so the first line is data: taken for names, it would be lost as a row.
    if not columns and (data := [cell for cell in first if NUMBER.match(cell)]):
        stop(path, f"line {read.line}", "the names of the columns (or --columns a,b,c…)", f"data such as {data[0]!r}")
    return Source(
        path=path,
        table=read.table,
        has_typed_text=True,
        notes=tuple(_said(read.form)),
        csv=read.form,
        unparsable=read.unparsable,
    )


def _said(form: CsvForm) -> list[str]:
    """A remark for each property of the form that is not the usual one."""
    usual = CsvForm()
    # Each remark with whether it is made.
    said = {
        f"cells are separated by {form.delimiter!r}": form.delimiter != usual.delimiter,
        f"cells are quoted by {form.quote!r}" if form.quote else "quotation marks are text": form.quote != usual.quote,
        f"text is in {form.encoding}": form.encoding != usual.encoding,
        f"decimals stand behind {form.decimal!r}": form.decimal != usual.decimal,
        f"thousands are marked by {form.thousands!r}": form.thousands != usual.thousands,
        "no line has the columns' names": bool(form.columns),
    }
    return [f"{text}: the contract says so" for text, is_other in said.items() if is_other]


def _json_lines(path: Path, *_: object) -> Source:
    """The rows of JSON lines, with a note on the lines that are no objects.

    Raises ConfigurationError if more than MOST_BROKEN of the lines are none, or if a column has values of two types."""
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    broken: list[tuple[int, str, str]] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip():
            try:
                rows.append(jsonlines.object_of(line))
            except (ValueError, RecursionError) as error:
                broken.append((number, jsonlines.expected_of(error), str(error) or type(error).__name__))
    if len(broken) > MOST_BROKEN * (len(rows) + len(broken)):
        number, expected, came = broken[0]
        stop(path, f"line {number}", expected, came)
    lines = ", ".join(str(number) for number, *_ in broken[:SHOWN]) + ("…" if len(broken) > SHOWN else "")
    why = f" (line {broken[0][0]}: {broken[0][2]})" if broken else ""
    notes = (f"lines that are no JSON objects and will be quarantined, {len(broken):,}: {lines}{why}",) * bool(broken)
    # The columns in the order in which their names first come. An object without a name has null there.
    names = list(dict.fromkeys(name for row in rows for name in row))
    arrays = []
    for name in names:
        cells = [row.get(name) for row in rows]
        try:
            arrays.append(pa.array(cells))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            kinds = ", ".join(sorted({type(cell).__name__ for cell in cells if cell is not None}))
            stop(path, name, "values of one type", kinds)
    table = pa.Table.from_arrays(arrays, names=names)
    return Source(path=path, table=table, has_typed_text=False, notes=notes)


def _parquet(path: Path, *_: object) -> Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_footer(path)
        with pq.ParquetFile(path) as file:
            table = file.read().replace_schema_metadata(None)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, DropError) as error:
        stop(path, "format", "a readable Parquet file", str(error)[:200])
    return Source(path=path, table=table, has_typed_text=False, notes=())


def _names(path: Path, came: list[str]) -> list[str]:
    """A valid name for each column, in their order: `["Price", "price", " "]` gives `["Price", "price_2", "column_3"]`.

    Of names that differ in capitals only, the later ones get a number, since Athena ignores capitals. Raises
    ConfigurationError if a name comes twice or cannot be printed."""
    if twice := sorted(name for name, count in Counter(came).items() if count > 1):
        stop(path, "columns", "names that come once", f"{', '.join(map(repr, twice))} more than once")
    if strange := [name for name in came if not name.strip().isprintable() or {*name} & LINE_ENDS]:
        stop(path, "columns", "names that can be printed", strange)
    names: list[str] = []
    for place, name in enumerate(came, 1):
        plain = name.strip().lstrip("_") or f"column_{place}"
        # A changed name must also avoid the names that other columns have in the file; an unchanged one keeps its own.
        taken = {other.lower() for other in names} | ({other.lower() for other in came} - {name.lower()})
        number = 2
        wanted = plain
        while wanted.lower() in {other.lower() for other in names} or (wanted != name and wanted.lower() in taken):
            wanted, number = f"{plain}_{number}", number + 1
        names.append(wanted)
    return names


READERS: Mapping[str, Callable[[Path, tuple[str, ...], str], Source]] = {
    "csv": _delimited,
    "jsonlines": _json_lines,
    "parquet": _parquet,
}
"""Reader by format, in the words of `TABLE_FILES`.

A reader takes the path, the names of the columns if the file has none, and the mark before decimals."""
