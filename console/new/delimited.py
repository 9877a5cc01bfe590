"""Finds out from its text how a delimited file is written, and reads its cells as ingestion will read them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from console.new.missing import without, words_of_no_amount
from console.words import count
from millrace.contract.csv_form import DELIMITERS, CsvForm
from millrace.contract.schema import LINE, Column, Table
from millrace.contract.violation import QuarantinedRow
from millrace.errors import ConfigurationError, DropError
from millrace.files import csv
from millrace.files.lines import BOM, lines_of
from millrace.files.parsed import Limits

if TYPE_CHECKING:
    import pyarrow as pa

LOOKED_AT = 200
"""Number of first lines in which the quotation mark is looked for."""
NUMBER_FORMS = (
    CsvForm(),
    CsvForm(decimal=","),
    CsvForm(thousands=","),
    CsvForm(decimal=",", thousands="."),
    CsvForm(decimal=",", thousands=" "),
    CsvForm(decimal=",", thousands="\u00a0"),
    CsvForm(decimal=",", thousands="\u202f"),
    CsvForm(thousands=" "),
    CsvForm(thousands="'"),
)
"""Ways to write numbers, in the order of preference: 1234.5, then 1234,5, 1,234.5, 1.234,5 and so on."""


@dataclass(frozen=True, kw_only=True)
class Delimited:
    """The cells of a file, all as text."""

    form: CsvForm
    names: tuple[str, ...]
    """The cells of the first line that is not blank, or the names that the form has."""
    line: int
    """The number of the first line that is not blank, counted from 1."""
    width: int
    """Number of cells in that line."""
    table: pa.Table
    unparsable: tuple[QuarantinedRow, ...]


def find_form(path: Path) -> CsvForm:
    """Encoding, delimiter and quotation mark of a file. How numbers are written is found later, column by column."""
    data = path.read_bytes().removeprefix(BOM)
    encoding = _encoding(data)
    lines = [line for line in data.decode(encoding, errors="replace").splitlines() if line.strip()][:LOOKED_AT]
    # A delimiter within quotes is text, so quoted cells are cut out of the first line before counting.
    bare = re.sub(r'"[^"]*"', "", lines[0]) if lines else ""
    delimiter = max(DELIMITERS, key=bare.count)
    return CsvForm(delimiter=delimiter, quote=_quote(lines, delimiter), encoding=encoding)


def read_delimited(path: Path, form: CsvForm, *, decimal: str = "") -> Delimited:
    """The cells of the file, read by the code of ingestion. `decimal` is the mark before decimals, "" to find it.

    Raises ConfigurationError if no line can be read, if `form.columns` names the columns of a file that has a line of
    names, or if numbers may be read in two ways."""
    import pyarrow as pa

    line, first = _first(path, form)
    width = len(first)
    # The given names stand in the first line, so that line is no row: --columns was given for a file with names.
    same = {name.casefold() for name in form.columns} & {cell.strip().casefold() for cell in first}
    if 2 * len(same) > width:
        stop(path, "--columns", "a file without a line of names", f"{', '.join(first)} in line {line}")
    names = form.columns or tuple(first)
    # Columns are named by their places here. The names of the file are judged later, by `source`.
    places = tuple(f"\0{place}" for place in range(width))
    in_file = names if not form.columns else places
    columns = tuple(
        Column(name=name, kind="string", physical_name=old) for name, old in zip(places, in_file, strict=True)
    )
    text = Table(name=path.name, columns=columns, csv=replace(form, columns=places if form.columns else ()))
    size = path.stat().st_size
    try:
        parts = list(csv.read(path, text, Limits(line_bytes=max(size, 2**20))))
    except DropError as error:
        stop(path, f"line {line}", error.expected, error.got)
    rows = pa.concat_tables([part.rows for part in parts]).drop_columns([LINE]).combine_chunks()
    unparsable = tuple(row for part in parts for row in part.unparsable)
    if unparsable and not rows.num_rows:
        worst, line_of = unparsable[0].violations[0], unparsable[0].line
        came = f"none: {count(len(unparsable), 'line')}, of line {line_of} expected {worst.expected}, got {worst.got}"
        stop(path, "rows", "labelled rows", came)
    known = _number_form(path, [rows.column(place) for place in range(width)], decimal, form)
    return Delimited(
        form=replace(form, decimal=known.decimal, thousands=known.thousands),
        names=names,
        line=line,
        width=width,
        table=rows.rename_columns(list(names)) if len(names) == width else rows,
        unparsable=unparsable,
    )


def _first(path: Path, form: CsvForm) -> tuple[int, list[str]]:
    """The number and the cells of the first line that is not blank. Raises ConfigurationError if a name comes twice."""
    lines = enumerate(lines_of(path.read_bytes().removeprefix(BOM)), 1)
    number, line = next(((number, line) for number, line in lines if line.strip()), (0, b""))
    if not number:
        stop(path, "rows", "labelled rows", "blank lines")
    names = csv.names_of(line.decode(form.encoding, errors="backslashreplace").encode(), form)
    if twice := sorted({name for name in names if names.count(name) > 1}) if not form.columns else []:
        remedy = "which may be a title: then take it out" if twice == [""] else "where one of them needs another name"
        stop(
            path,
            "columns",
            f"names that come once in line {number}, {remedy}",
            f"{', '.join(map(repr, twice))} more than once",
        )
    return number, names


def _encoding(data: bytes) -> str:
    """UTF-8 if most characters beyond ASCII are valid UTF-8, so that a single damaged line does not change it.

    Else cp1252, or latin-1 if cp1252 does not read the file."""
    # A byte that is no UTF-8 becomes a surrogate from U+DC80 to U+DCFF, which is beyond U+007F as well.
    text = data.decode("utf-8", errors="surrogateescape")
    foreign = sum(char > "\x7f" for char in text)
    damaged = sum("\udc80" <= char <= "\udcff" for char in text)
    if damaged <= foreign - damaged or not damaged:
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
    broken = rf'(?:^|{end}) *"(?:[^"]|"")*" *(?:{end}|$)'
    return '"' if re.search(broken, "\n".join(lines), re.MULTILINE) else ""


def _number_form(path: Path, columns: list[pa.ChunkedArray], decimal: str, form: CsvForm) -> CsvForm:
    """The form in which most columns are numbers.

    Raises ConfigurationError if two forms are equally good and read different numbers, or if `decimal` is not the mark
    by which most columns are numbers."""
    known = [without(cells, words_of_no_amount(cells)).drop_null() for cells in columns]
    counts = {}
    for each in NUMBER_FORMS:
        if decimal in ("", each.decimal):
            counts[each] = sum(_is_number(cells, each) for cells in known)
    most = max(counts.values(), default=0)
    best = [each for each, count in counts.items() if count == most]
    if not best:
        stop(path, "--decimal", "'.' or ','", decimal)
    if decimal and (more := sum(_is_number(cells, CsvForm(decimal=_other(decimal))) for cells in known)) > most:
        stop(path, "--decimal", f"{_other(decimal)!r}, with which {count(more, 'column')} are numbers", decimal)
    # Cells separated by semicolons leave the comma free for decimals: of equally good forms that one is taken.
    if form.delimiter == ";" and not best[0].has_plain_numbers:
        return next((each for each in best if each.decimal == ","), best[0])
    if not best[0].has_plain_numbers and len({each.decimal for each in best}) > 1:
        stop(path, "numbers", "--decimal , or --decimal . (1,234 may be either)", "no --decimal")
    return best[0]


def _other(decimal: str) -> str:
    return "," if decimal == "." else "."


def _is_number(known: pa.ChunkedArray, form: CsvForm) -> bool:
    """Whether the column has cells, and all of them are numbers in this form."""
    import pyarrow.compute as pc

    return len(known) > 0 and bool(pc.all(pc.match_substring_regex(known, form.number)).as_py())


def stop(path: Path, field: str, expected: str, came: object) -> NoReturn:
    """Raise ConfigurationError about a file of rows or a folder of images."""
    raise ConfigurationError(where=path.name, field=field, expected=expected, came=came)
