"""The user's own file as columns: text of CSV and similar formats, typed values of JSON lines and Parquet."""

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
"""Share of the lines that may be no rows: they will be quarantined."""
SHOWN = 5

LINE_ENDS = {"\x85", "\u2028", "\u2029"}
"""Of YAML, in which a name would not come back: they are blanks to Python, at the ends of a name too."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The columns of the file."""

    path: Path
    table: pa.Table
    has_typed_text: bool
    """CSV and its kin: every cell is text and may mean a number."""
    notes: tuple[str, ...]
    """How the contract says that the file is written, where that is not the usual way."""
    csv: CsvForm = field(default_factory=CsvForm)
    names_in_file: Mapping[str, str] = field(default_factory=dict)
    """The column's name in the file by its name here, where these differ."""
    unparsable: tuple[QuarantinedRow, ...] = ()
    """Lines that are no rows; they are not in `table`, and will be quarantined."""


def read_source(path: Path, *, columns: Sequence[str] = (), decimal: str = "") -> Source:
    """The rows of a file.

    `columns` are the names where the file has no line with names; `decimal` the mark before decimals, "" to find it.
    Raises ConfigurationError for a file of another format than `TABLE_FILES` has, without rows, or whose column names
    are not unique."""
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
    """What the contract has to say of the file."""
    usual = CsvForm()
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
    """With a sentence on the lines that are no objects; raises ConfigurationError where these are many."""
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
    """Valid names; of names that differ in capitals only the later ones get a number: Athena ignores capitals."""
    if twice := sorted(name for name, count in Counter(came).items() if count > 1):
        stop(path, "columns", "names that come once", f"{', '.join(map(repr, twice))} more than once")
    if strange := [name for name in came if not name.strip().isprintable() or {*name} & LINE_ENDS]:
        stop(path, "columns", "names that can be printed", strange)
    names: list[str] = []
    for place, name in enumerate(came, 1):
        plain = name.strip().lstrip("_") or f"column_{place}"
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
"""By the words of `TABLE_FILES`: the file, names for its columns where it has none, and the mark before decimals."""
