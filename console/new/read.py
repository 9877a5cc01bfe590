"""Reads the user's own file as columns: text from CSV and similar formats, typed values from others, or images."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millrace.console.files.catalogue import TABLES, head_of
from millrace.console.files.given import Given
from millrace.console.files.grid import Grid, stop
from millrace.console.new.words import first_of, without, words_of_no_amount
from millrace.console.words import count
from millrace.contract.csv_form import DELIMITERS, CsvForm, numbered
from millrace.contract.parts import CellPart
from millrace.contract.reasons import Reason
from millrace.contract.schema import LINE, Column, Table
from millrace.contract.violation import QuarantinedRow
from millrace.errors import DropError
from millrace.files import csv, jsonlines
from millrace.files.catalogue import format_of
from millrace.files.lines import BOM, lines_of
from millrace.files.parquet import footer_of
from millrace.files.parsed import Limits

NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
MOST_BROKEN = 0.05
"""Share of the lines that may be no rows. These lines will be quarantined."""
LINE_ENDS = {"\x85", "\u2028", "\u2029"}
"""YAML takes these for ends of lines, so a name with one would not come back from `contract.yaml` as it was.

Python takes them for blanks: `strip` removes them at the ends of a name, so they are looked for before it."""
LOOKED_AT, LOOKED_AT_BYTES = 200, 16 * 2**20
"""Number of first lines, and of bytes, in which the quotation mark is looked for."""
NUMBER_FORMS = (
    CsvForm(), CsvForm(decimal=","), CsvForm(thousands=","), CsvForm(decimal=",", thousands="."),
    CsvForm(decimal=",", thousands=" "), CsvForm(decimal=",", thousands="\u00a0"),
    CsvForm(decimal=",", thousands="\u202f"), CsvForm(thousands=" "), CsvForm(thousands="'"),
)  # fmt: skip
"""Ways to write numbers, in the order of preference: 1234.5, then 1234,5, 1,234.5, 1.234,5 and so on."""


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """A question of which the harmless answer was taken."""

    field: str
    came: str
    """What leaves it open."""
    taken: str
    """The answer."""
    otherwise: str
    """The options that say otherwise, for `--ask` and for the remark."""

    def __str__(self) -> str:
        return f"{self.field}: {self.came}: {self.taken} (or {self.otherwise}; --ask asks)"


@dataclass(frozen=True, kw_only=True)
class Source:
    """The columns of a file, and how the file is written."""

    path: Path
    table: pa.Table
    has_typed_text: bool
    """Whether every cell is text that may mean a number, as in CSV and its kin."""
    notes: tuple[str, ...]
    """Remarks on how the file is written, if that is not the usual way. The contract says the same."""
    doubts: tuple[Doubt, ...] = ()
    csv: CsvForm = field(default_factory=CsvForm)
    names_in_file: Mapping[str, str] = field(default_factory=dict)
    """The name of a column in the file by its name here, if the two differ: `{"price_2": "price"}`."""
    parts: Mapping[str, CellPart] = field(default_factory=dict)
    part_words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By columns that share a cell of the file: what each takes of it, and its words for a missing cell."""
    unparsable: tuple[QuarantinedRow, ...] = ()
    """Lines that are no rows. They are not in `table`, and will be quarantined."""
    given: tuple[Given, ...] = ()
    """The files of the rows, in their order, if they are several or packed; empty for the file at `path` itself."""
    grid: Grid | None = None
    """The rows of a workbook or a database, which go as JSON lines."""

    @property
    def files(self) -> tuple[Given, ...]:
        """The files that can be dropped as they are; empty for a folder of images and for a grid."""
        if self.grid or not self.path.is_file():
            return ()
        return self.given or (Given(path=self.path, plain=self.path, name=self.path.name),)


def read_source(path: Path, *, columns: Sequence[str] = (), decimal: str = "") -> Source:
    """The rows of a file.

    `columns` are the names of the columns if the file has no line of names. `decimal` is the mark before decimals, ""
    to find it. Raises ConfigurationError if the file has another format than those of `TABLE_FILES`, or no rows."""
    if not path.is_file():
        stop(path, "--from", "a file", "none of that name")
    head = head_of(path)
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
    return renamed(found)


def renamed(found: Source) -> Source:
    """The source, whose columns have the names of the file, with names that a contract takes."""
    names = names_of(found.path, found.table.column_names)
    changed = {new: old for old, new in zip(found.table.column_names, names, strict=True) if old != new}
    notes = (*found.notes, *(f"{old!r} is called {new!r}" for new, old in changed.items()))
    return replace(found, table=found.table.rename_columns(names), names_in_file=changed, notes=notes)


def _delimited(path: Path, columns: tuple[str, ...], decimal: str) -> Source:
    """The cells of the file, all as text, read by the code of ingestion. `decimal` is the mark before decimals, "" to
    find it. Where the first line is a row, the columns are called by their places.

    Raises ConfigurationError if no line can be read, or if `columns` are not the names of a file without a line of
    names."""
    form = replace(find_form(path), columns=columns)
    line, first = _first(path, form)
    width = len(first)
    # The given names stand in the first line, so that line is no row: --columns was given for a file with names.
    if 2 * len({name.casefold() for name in columns} & {cell.strip().casefold() for cell in first}) > width:
        stop(path, "--columns", "a file without a line of names", f"{', '.join(first)} in line {line}")
    names = list(columns or first)
    if len(names) != width:
        stop(path, "--columns", f"{width} names, one for each cell of line {line}", len(names))
    # Columns are named by their places here. The names of the file are judged later, by `names_of`.
    places = tuple(f"\0{place}" for place in range(width))
    in_file = places if columns else names
    cells = tuple(Column(name=at, kind="string", physical_name=old) for at, old in zip(places, in_file, strict=True))
    text = Table(name=path.name, columns=cells, csv=replace(form, columns=places if columns else ()))
    try:
        parts = list(csv.read(path, text, Limits()))
    except DropError as error:
        stop(path, "rows" if error.reason == Reason.TOO_LARGE else f"line {line}", error.expected, error.got)
    rows = pa.concat_tables([part.rows for part in parts]).combine_chunks()
    lines, rows = rows[LINE], rows.drop_columns([LINE])
    unparsable = tuple(row for part in parts for row in part.unparsable)
    if unparsable and not rows.num_rows:
        worst, line_of = unparsable[0].violations[0], unparsable[0].line
        came = f"none: {count(len(unparsable), 'line')}, of line {line_of} expected {worst.expected}, got {worst.got}"
        stop(path, "rows", f"labelled rows; if line {line} is a title and not the names, take it out", came)
    if not columns and not _are_names(names, rows):
        return _delimited(path, tuple(f"column_{place}" for place in range(1, width + 1)), decimal)
    form = _number_form(path, rows.columns, decimal, form)
    mixed = (_of_two_marks(name, cells, lines) for name, cells in zip(names, rows.columns, strict=True))
    notes, table = (*_said(form), *filter(None, mixed)), rows.rename_columns(names)
    return Source(path=path, table=table, has_typed_text=True, notes=notes, csv=form, unparsable=unparsable)


def _are_names(first: Sequence[str], table: pa.Table) -> bool:
    """Whether the first line has names. One with a number in it may be a row, which would be lost as names.

    Numbers that count are names (0, 1, 2), and so is a text above numbers, or above others that come again."""
    numbers = [cell for cell in first if NUMBER.match(cell)]
    if not numbers or list(first) in ([f"{at}" for at in range(start, start + len(first))] for start in (0, 1)):
        return True
    texts = {cell: table.column(at) for at, cell in enumerate(first) if cell and cell not in numbers}
    return any(
        _is_number(_amounts(cells).drop_null(), CsvForm())
        or (2 * len(said := cells.unique().to_pylist()) <= len(cells) and cell not in said)
        for cell, cells in texts.items()
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
        f"thousands are marked by {form.thousands!r} (or --decimal)": form.thousands != usual.thousands,
        f"no line has the columns' names, such as {form.columns[:1]} (or --columns)": bool(form.columns),
    }
    return [f"{text}: the contract says so" for text, is_other in said.items() if is_other]


def _json_lines(path: Path, *_: object) -> Source:
    """The rows of JSON lines, with a note on the lines that are no objects.

    Raises ConfigurationError if more than MOST_BROKEN of the lines are none."""

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
    lines = first_of([str(number) for number, *_ in broken])
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
            notes += (f"{name} is left out, as its values are of several types: {kinds}",)
            arrays.append(pa.nulls(len(rows)))
    return Source(path=path, table=pa.Table.from_arrays(arrays, names=names), has_typed_text=False, notes=notes)


def _parquet(path: Path, *_: object) -> Source:

    try:
        footer_of(path)
        with pq.ParquetFile(path) as file:
            table = file.read().replace_schema_metadata(None)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, DropError) as error:
        stop(path, "format", "a readable Parquet file", str(error)[:200])
    return Source(path=path, table=table, has_typed_text=False, notes=())


def names_of(path: Path, came: list[str]) -> list[str]:
    """A valid name for each column, in their order: `["Price", "price", " "]` gives `["Price", "price_2", "column_3"]`.

    Of names that differ in capitals only, the later ones get a number, since Athena ignores capitals. Raises
    ConfigurationError if a name of Parquet comes twice, or if one cannot be printed."""
    if twice := [name for name in came if came.count(name) > 1]:
        stop(path, "columns", "names that come once", twice)
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


def find_form(path: Path) -> CsvForm:
    """Encoding, delimiter and quotation mark of a file. How numbers are written is found later, column by column."""
    data = path.read_bytes().removeprefix(BOM)
    encoding = _encoding(data)
    head = data[:LOOKED_AT_BYTES].decode(encoding, errors="replace")
    lines = [line for line in head.splitlines() if line.strip()][:LOOKED_AT]
    # A delimiter within quotes is text, so quoted cells are cut out of the first line before counting.
    delimiter = max(DELIMITERS, key=(re.sub(r'"[^"]*"', "", lines[0]) if lines else "").count)
    return CsvForm(delimiter=delimiter, quote=_quote(lines, delimiter), encoding=encoding)


def _first(path: Path, form: CsvForm) -> tuple[int, list[str]]:
    """The number and the cells of the first line that is not blank. Raises ConfigurationError for a title."""
    lines = enumerate(lines_of(path.read_bytes().removeprefix(BOM)), 1)
    number, line = next(((number, line) for number, line in lines if line.strip()), (0, b""))
    if not number:
        stop(path, "rows", "labelled rows", "blank lines")
    names = numbered(csv.names_of(line.decode(form.encoding, errors="backslashreplace").encode(), form))
    places = [f"column_{place}" for place in range(1, len(names) + 1)]
    if not form.columns and names != places and [*names[1:]] == places[1:] != []:
        stop(path, "columns", f"names in line {number}; if it is a title, take it out", names[0])
    return number, names


def _encoding(data: bytes) -> str:
    """UTF-8 if most characters beyond ASCII are valid UTF-8, so that a single damaged line does not change it.

    Else cp1252, or latin-1 if cp1252 does not read the file."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    # A byte that is no UTF-8 becomes a surrogate from U+DC80 to U+DCFF, which is beyond U+007F as well.
    text = data.decode("utf-8", errors="surrogateescape")
    foreign = sum(char > "\x7f" for char in text)
    damaged = sum("\udc80" <= char <= "\udcff" for char in text)
    if damaged <= foreign - damaged:
        return "utf-8"
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _quote(lines: list[str], delimiter: str) -> str:
    """The quotation mark: `'` if cells of most lines begin and end with it, "" if quotation marks are text, else `"`.

    Double quotes are text if no cell begins and ends with them. A quoted cell may hold line breaks, but not between
    single quotes, since an apostrophe is one, too."""
    end = re.escape(delimiter)
    single = sum(bool(re.search(rf"(^|{end})'[^']*'({end}|$)", line)) for line in lines)
    double = sum(bool(re.search(rf'(^|{end}) *"[^"]*"', line)) for line in lines)
    if single > max(double, len(lines) // 2):
        return "'"
    if double or not any('"' in line for line in lines):
        return '"'
    # No line has a whole quoted cell. One may still span several lines, so all of them are searched as one text.
    return '"' if re.search(rf'(?:^|{end}) *"(?:[^"]|"")*" *(?:{end}|$)', "\n".join(lines), re.MULTILINE) else ""


def _number_form(path: Path, columns: list[pa.ChunkedArray], decimal: str, form: CsvForm) -> CsvForm:
    """The form in which most columns are numbers. Where `1,234` may be either, the comma marks thousands.

    Raises ConfigurationError if `decimal` is not the mark by which most columns are numbers."""
    amounts = [_amounts(cells).drop_null() for cells in columns]
    forms = [each for each in NUMBER_FORMS if decimal in ("", each.decimal)]
    counts = {each: sum(_is_number(cells, each) for cells in amounts) for each in forms}
    most = max(counts.values(), default=0)
    best = [each for each, count in counts.items() if count == most]
    if not best:
        stop(path, "--decimal", "'.' or ','", decimal)
    other = "," if decimal == "." else "."
    if decimal and (more := sum(_is_number(cells, CsvForm(decimal=other)) for cells in amounts)) > most:
        stop(path, "--decimal", f"{other!r}, with which {count(more, 'column')} are numbers", decimal)
    # Cells separated by semicolons leave the comma free for decimals: of equally good forms that one is taken.
    likely = "," if form.delimiter == ";" and not best[0].has_plain_numbers else "."
    known = next((each for each in best if each.decimal == likely), best[0])
    return replace(form, decimal=known.decimal, thousands=known.thousands)


def _amounts(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """The cells, null where a word says that there is no amount."""
    return without(cells, words_of_no_amount(cells))


def _of_two_marks(name: str, cells: pa.ChunkedArray, lines: pa.ChunkedArray) -> str:
    """A remark on a column whose cells are numbers behind two decimal marks, with the lines of each; "" for others."""
    amounts = _amounts(cells)
    if any(_is_number(amounts.drop_null(), each) for each in NUMBER_FORMS):
        return ""
    numbers = (CsvForm(decimal=mark).number for mark in ".,")
    is_point, is_comma = (pc.fill_null(pc.match_substring_regex(amounts, one), False) for one in numbers)
    said, each = [], (pc.and_not(is_point, is_comma), pc.and_not(is_comma, is_point))
    is_all = pc.all(pc.or_(pc.or_(is_point, is_comma), pc.is_null(amounts)))
    if not (is_all.as_py() and all(pc.any(one).as_py() for one in each)):
        return ""
    for chosen in each:
        which = [*map(str, lines.filter(chosen).to_pylist())]
        said.append(f"{amounts.filter(chosen)[0].as_py()!r} in {count(len(which), 'line')} ({first_of(which)})")
    return f"{name}: numbers with two decimal marks, {' and '.join(said)}: write them with one, as in all later files"


def _is_number(known: pa.ChunkedArray, form: CsvForm) -> bool:
    """Whether the column has cells, and all of them are numbers in this form."""

    return len(known) > 0 and bool(pc.all(pc.match_substring_regex(known, form.number)).as_py())


READERS: Mapping[str, Callable[[Path, tuple[str, ...], str], Source]] = {
    "csv": _delimited,
    "jsonlines": _json_lines,
    "parquet": _parquet,
}
"""Reader by format, in the words of `TABLE_FILES`.

A reader takes the path, the names of the columns if the file has none, and the mark before decimals."""
