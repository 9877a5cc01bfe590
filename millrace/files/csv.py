"""Reads CSV: with a header, commas, double quotes and UTF-8, or as the contract says.

A broken line is quarantined alone. Arrow splits a block without quotes at once; a block with quotes is read line by
line. Both ways give the same rows.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.contract.csv_form import DELIMITERS, CsvForm, numbered
from millrace.contract.reasons import Reason
from millrace.contract.schema import Column, Table, parsed_schema
from millrace.contract.violation import QuarantinedRow, RuleViolation, of_line, truncate
from millrace.errors import DropError
from millrace.files.file_format import FileFormat
from millrace.files.lines import BOM, blocks, ended_lines_of, lines_of, raw_text
from millrace.files.origin import Origin
from millrace.files.parsed import Limits, Parsed, check_header, note_wrong_type, without_wrong

if TYPE_CHECKING:
    import pyarrow as pa

CLOSED = "quotes that close"
LONG = 20
"""The most lines of a record that is taken as it is. A longer one may be two stray quotes with rows between them."""
ALIKE = 0.9
"""The share of lines within a long quoted cell, 0 to 1, that look like rows: from this share on the record is
quarantined whole, and no line of it becomes a row."""
BLANK = " \t\r\n\x0b\x0c"
csv.field_size_limit(sys.maxsize)  # a cell may be as long as its line, with quotes in the block and without


@dataclass
class _Block:
    """What one block holds: the records with as many cells as the header, and the violations of the others."""

    columns: list[pa.Array] = field(default_factory=list)
    """The cells of the records as texts, one array for each cell of the header."""
    lines: list[int] = field(default_factory=list)
    """The first line of each record, counted from 1 in the file."""
    raw: list[bytes] = field(default_factory=list)
    """The bytes of each record."""
    unparsable: list[QuarantinedRow] = field(default_factory=list)
    rest: bytes = b""
    """The lines of a record that continues in the next block."""

    def refuse(self, line: int, violations: Sequence[RuleViolation], raw: bytes) -> None:
        row = QuarantinedRow(line=line, violations=tuple(violations), raw=raw_text(raw))
        self.unparsable.append(row)


def read(path: Path, table: Table, limits: Limits, _: Origin | None = None) -> Iterator[Parsed]:
    """The file in parts. Raises DropError as `read_drop` does."""
    form = table.csv
    header = check_names(form.columns, table) if form.columns else None
    # A record may cross the end of a block: its lines (`rest`) are read again with the next block. Whether a block is
    # the last must be known beforehand, since a quote that is open at the end of the file never closes.
    line, rest, is_first = 1, b"", True
    parts = (as_utf8(block, form) for block in _blocks(path, table, limits))
    following: bytes | None = next(parts, None)
    while following is not None:
        block, following = rest + following, next(parts, None)
        # The header is the first line that is not blank.
        if header is None:
            if not block.strip():
                line += block.count(b"\n")
                continue
            skipped, header, block = _header(block, table)
            line += skipped
        elif is_first and form.columns:
            # The contract says that files have no line of names: if the first line is one all the same, it is
            # quarantined, so that it does not become a row.
            blank, first = _first_line(block, form)
            is_first = not first
            if not first.count(form.quote.encode() or b"\0") % 2 and _is_of_names(first, header, table):
                line += block.count(b"\n", 0, blank)
                expected = "rows from the first line on (`csv.columns` of the contract)"
                names = QuarantinedRow(
                    line=line, violations=(of_line(Reason.COLUMNS, expected, "a line of names"),), raw=raw_text(first)
                )
                yield Parsed(rows=parsed_schema(table).empty_table(), unparsable=(names,))
                line, block = line + 1, block[blank:].partition(b"\n")[2]
        found = _read_block(block, line, len(header), form, limits, last=following is None)
        rest = found.rest
        line += block.count(b"\n") - rest.count(b"\n")
        yield _typed(found, header, table)


def _blocks(path: Path, table: Table, limits: Limits) -> Iterator[bytes]:
    """The file in blocks of whole lines. Raises DropError `encoding` for UTF-8's mark before another encoding."""
    form = table.csv
    with path.open("rb") as file:
        if form.encoding != "utf-8" and file.read(len(BOM)) == BOM:
            raise DropError(Reason.ENCODING, expected=form.encoding.upper(), got="the mark of UTF-8")
    return blocks(path, limits, most_lines=limits.rows_of(table))


def as_utf8(block: bytes, form: CsvForm) -> bytes:
    """The block in UTF-8. A byte that its encoding does not have stays as it is, so its line is no valid UTF-8."""
    if form.encoding == "utf-8":
        return block
    return block.decode(form.encoding, errors="surrogateescape").encode(errors="surrogateescape")


def _header(block: bytes, table: Table) -> tuple[int, list[str], bytes]:
    """The number of lines up to the header and with it, the header's names, and the rest of the block.

    The block is not blank. Raises DropError for a header that is not the contract's, with the likely cause: another
    encoding, or another delimiter."""
    skipped, first = 0, b""
    while not first.strip():
        first, _, block = block.partition(b"\n")
        skipped += 1
    try:
        return skipped, check_names(names_of(first, table.csv), table), block
    except DropError as error:
        raise _wrong_encoding(first, table.csv) or _wrong_delimiter(first, table) or error from None


def _is_of_names(line: bytes, header: list[str], table: Table) -> bool:
    """Whether the line is a line of names, in a file that should have none."""
    with suppress(DropError):
        return check_names(names_of(line, table.csv), table) == header
    return False


def check_names(names: Sequence[str], table: Table) -> list[str]:
    """As `check_header`. Spaces around a name do not count; one that comes again is `a_2` if the contract says so."""
    known = {name.strip(): name for name in table.name_of} | {name: name for name in table.name_of}
    both = zip(names, numbered(names), strict=True)
    return check_header([known.get(again, known.get(name, name or again)) for name, again in both], table)


def _wrong_delimiter(header: bytes, table: Table) -> DropError | None:
    """The error of a header in which another delimiter finds more of the contract's names; None if none does."""
    own = _known(header, table, table.csv.delimiter)
    for delimiter in DELIMITERS:
        if _known(header, table, delimiter) > own:
            expected = f"{_named(table.csv.delimiter)} between the names (`csv.delimiter` of the contract)"
            return DropError(Reason.FOREIGN, expected=expected, got=_named(delimiter))
    return None


def _known(header: bytes, table: Table, delimiter: str) -> int:
    """How many cells of the header are names of the contract, if this is the delimiter."""
    with suppress(DropError):
        return sum(name in table.name_of for name in names_of(header, replace(table.csv, delimiter=delimiter)))
    return 0


def _named(delimiter: str) -> str:
    return "a tab" if delimiter == "\t" else f"`{delimiter}`"


def _wrong_encoding(header: bytes, form: CsvForm) -> DropError | None:
    """The error of a header in another encoding than the contract's; None if its encoding may be right."""
    says = "may say cp1252 or latin-1" if form.encoding == "utf-8" else "says so"
    declared = f"a header in {form.encoding.upper()} (`csv.encoding` of the contract {says})"
    try:
        text = header.decode()
    except UnicodeDecodeError as error:
        near = header[max(error.start - 20, 0) : error.start + 20]
        return DropError(Reason.ENCODING, expected=declared, got=f"{near!r}, which is not in it")
    # The file's own bytes, read as UTF-8: if that works and gives another text, the header was written in UTF-8.
    try:
        as_utf8 = text.encode(form.encoding).decode()
    except UnicodeError:
        return None
    return None if as_utf8 == text else DropError(Reason.ENCODING, expected=declared, got=f"UTF-8: {truncate(as_utf8)}")


def names_of(line: bytes, form: CsvForm) -> list[str]:
    """The cells of a header, without the spaces around them. Raises DropError `columns` if it is not one record."""
    try:
        cells = next(reader_of([raw_text(line).rstrip("\r")], form, strict=False))
    except csv.Error as error:
        # A file with lines that end in carriage returns alone is one line.
        got = f"{truncate(raw_text(line))} ({_in_words(error, raw_text(line))})"
        raise DropError(Reason.COLUMNS, expected="a header in one line", got=got) from None
    return [cell.strip() for cell in cells]


def reader_of(lines: Iterable[str], form: CsvForm, *, strict: bool) -> Iterator[list[str]]:
    """The cells of each record of the lines."""
    # Spaces around a cell do not count: a quotation mark behind a delimiter and spaces opens a quoted cell.
    if not form.quote:
        return csv.reader(lines, delimiter=form.delimiter, quoting=csv.QUOTE_NONE, skipinitialspace=True)
    return csv.reader(lines, delimiter=form.delimiter, quotechar=form.quote, skipinitialspace=True, strict=strict)


def _read_block(block: bytes, line: int, width: int, form: CsvForm, limits: Limits, *, last: bool) -> _Block:
    """The records of a block. `line` is the number of its first line, `width` the number of cells of the header."""
    # The quick way is for blocks that both ways read alike: no quotes, no lone carriage returns, no NUL, valid UTF-8.
    plain = block.replace(b"\r\n", b"\n") if b"\r" in block else block
    has_quotes = bool(form.quote) and form.quote.encode() in plain
    if has_quotes or b"\r" in plain or b"\0" in plain or not _is_utf8(plain):
        return _read_lines(ended_lines_of(block), line, width, form, limits, last=last)
    return _read_plain(plain, line, width, form)


def _first_line(block: bytes, form: CsvForm) -> tuple[int, bytes]:
    """The place and the text of the first line that is not blank; the block's end and "" if all lines are blank."""
    at = 0
    while at < len(block):
        end = block.find(b"\n", at) % (len(block) + 1)  # without a line end it is -1, which becomes the block's end
        if not _is_blank(line := block[at:end], form):
            return at, line.removesuffix(b"\r")
        at = end + 1
    return len(block), b""


def _is_blank(text: bytes, form: CsvForm) -> bool:
    """Whether the line is blank. A line of tabs is not, if tabs separate cells: it is a record of empty cells."""
    return not text.strip(BLANK.replace(form.delimiter, "").encode())


def _read_plain(block: bytes, line: int, width: int, form: CsvForm) -> _Block:
    """The records of a block without quotes: each line is a record, and Arrow splits all good lines at once."""
    found, delimiter = _Block(), form.delimiter.encode()
    for number, text in enumerate(lines_of(block), line):
        if _is_blank(text, form):
            continue
        if (cells := text.count(delimiter) + 1) == width:
            found.lines.append(number)
            found.raw.append(text)
        else:
            found.refuse(number, [_wrong_width(width, cells)], text)
    if found.raw:
        found.columns = _split(found.raw, width, form)
    return found


def _split(lines: list[bytes], width: int, form: CsvForm) -> list[pa.Array]:
    """The cells of the lines as texts, one array for each column."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    # One block, one thread and texts only: Arrow neither guesses types nor cuts lines elsewhere, so row i is line i.
    data = b"\n".join(lines) + b"\n"
    # Arrow skips a byte order mark at the start. The file's own mark is gone by now, so a mark here is part of a cell
    # and is put there twice.
    data = pa.py_buffer(BOM + data if data.startswith(BOM) else data)
    places = [str(place) for place in range(width)]
    table = arrow_csv.read_csv(
        pa.BufferReader(data),
        arrow_csv.ReadOptions(column_names=places, use_threads=False, block_size=len(data) + 1),
        arrow_csv.ParseOptions(delimiter=form.delimiter, quote_char=False, ignore_empty_lines=False),
        arrow_csv.ConvertOptions(column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=False),
    )
    return [column.combine_chunks() for column in table.columns]


def _read_lines(lines: list[bytes], line: int, width: int, form: CsvForm, limits: Limits, *, last: bool) -> _Block:
    """The records of a block with quotes, read line by line.

    Each line has the carriage return of its end, which is part of a cell within quotes. A bad record is quarantined
    whole if its quotes stand around its cells: text in a quoted cell is never a row. Else only its first line is
    quarantined, and reading goes on behind that line. Otherwise a quote that never closes would swallow good lines:
    of `1,"a`, `2,b` and `3,c` the first is quarantined, and the other two are read."""
    import pyarrow as pa

    found, records, at = _Block(), [], 0
    while at < len(lines):
        if _is_blank(lines[at], form):
            at += 1
            continue
        # The block may end within a record: then its lines go before the next block.
        span = span_of(lines, at, form, limits)
        if span == 0 and not last:
            found.rest = b"".join(text + b"\n" for text in lines[at:])
            break
        cells = _cells(lines[at : at + span], width, form) if span > 0 else of_line(Reason.QUOTE, CLOSED, "the end")
        if isinstance(cells, RuleViolation):
            whole = span if span > 1 and is_well_quoted(lines[at : at + span], form) else 1
            # If only the first line of a longer record is quarantined, its quote is to blame, whatever else is wrong.
            violation = replace(cells, reason=Reason.QUOTE) if span > whole else cells
            found.refuse(line + at, [violation], b"\n".join(lines[at : at + whole]).removesuffix(b"\r"))
            at += whole
            continue
        # A good record, unless it is long and hides rows.
        raw = b"\n".join(lines[at : at + span]).removesuffix(b"\r")
        if span > LONG and _hides_rows(lines[at + 1 : at + span - 1], width, form):
            expected = "a quoted cell whose lines do not look like rows"
            found.refuse(line + at, [of_line(Reason.QUOTE, expected, f"{span} lines that do")], raw)
        else:
            records.append(cells)
            found.lines.append(line + at)
            found.raw.append(raw)
        at += span
    found.columns = [pa.array(column, pa.string()) for column in zip(*records, strict=True)]
    return found


def _hides_rows(inner: list[bytes], width: int, form: CsvForm) -> bool:
    """Whether the lines within a quoted cell look like rows, as all lines between two stray quotes do."""
    delimiter, told = form.delimiter.encode(), [text for text in inner if not _is_blank(text, form)]
    alike = sum(text.count(delimiter) + 1 == width for text in told)
    return width > 1 and len(told) > LONG and alike >= ALIKE * len(told)


def span_of(lines: list[bytes], at: int, form: CsvForm, limits: Limits) -> int:
    """The number of lines of the record that begins at `at`: as many as it takes for an even number of quotes.

    `1,"two` has one quote and `lines",3` the second, so it is 2. A quote within a cell is doubled and changes nothing.
    0 if the block ends before the record does. -1 if the record is longer than a record may be: then its quote counts
    as one that never closes."""
    quotes, size, quote = 0, 0, form.quote.encode()
    for place in range(at, len(lines)):
        quotes += lines[place].count(quote) if quote else 0
        size += len(lines[place]) + 1
        if place > at and size > limits.line_bytes:  # `blocks` has checked the length of a single line
            return -1
        if quotes % 2 == 0:
            return place - at + 1
    return 0


def _cells(lines: list[bytes], width: int, form: CsvForm) -> list[str] | RuleViolation:
    """The cells of one record, or its violation."""
    try:
        text = b"\n".join(lines).removesuffix(b"\r").decode()
        if "\0" in text:
            return of_line(Reason.ENCODING, "text", "a NUL")
        cells = next(reader_of([text], form, strict=True))
    except UnicodeDecodeError as error:
        return of_line(Reason.ENCODING, form.encoding.upper(), repr(error.object[error.start : error.end]))
    except (csv.Error, StopIteration) as error:
        return of_line(Reason.QUOTE, CLOSED, _in_words(error, text))
    return cells if len(cells) == width else _wrong_width(width, len(cells))


def is_well_quoted(lines: list[bytes], form: CsvForm) -> bool:
    """Whether each quote of the record opens or closes a cell, or is doubled within one."""
    # Any bytes are texts in latin-1, and a NUL would be an error of its own: only the quotes matter here.
    try:
        text = b"\n".join(lines).removesuffix(b"\r").replace(b"\0", b"?").decode("latin-1")
        next(reader_of([text], form, strict=True))
    except (csv.Error, StopIteration):
        return False
    return True


def _in_words(error: Exception, text: str) -> str:
    """The error of Python's csv in our words, if it speaks of modes of files: a record ended before its text did."""
    if "new-line character" not in str(error):
        return str(error)
    return "a carriage return within a line" if "\r" in text else "a quote in the midst of a cell, as in a later line"


def _typed(found: _Block, header: list[str], table: Table) -> Parsed:
    """The records in the contract's types. A record with a cell of another type is quarantined."""
    import pyarrow as pa

    from millrace.files.cast import from_csv

    schema = parsed_schema(table)
    if not found.lines:
        return Parsed(rows=schema.empty_table(), unparsable=tuple(found.unparsable))
    # All columns are cast before rows are left out, so that a row is quarantined with all its reasons.
    columns: dict[str, pa.Array] = {}
    wrong: dict[int, list[RuleViolation]] = {}
    for column, cells in _own_cells(found, header, table):
        name = column.name
        columns[name], misfits = from_csv(cells, column, table.csv)
        for at in misfits:
            note_wrong_type(wrong, at, column, cells[at].as_py().strip(BLANK))
    arrays = [columns.get(name, pa.nulls(len(found.lines), schema.field(name).type)) for name in table.names]
    rows = pa.Table.from_arrays([*arrays, pa.array(found.lines, pa.int64())], schema=schema)
    texts = found.raw
    return without_wrong(rows, wrong, table, raw=lambda at: raw_text(texts[at]), unparsable=found.unparsable)


def _own_cells(found: _Block, header: list[str], table: Table) -> Iterator[tuple[Column, pa.Array]]:
    """Each column of the contract that the file has, with its cells as texts."""
    from millrace.files.cast import own_texts

    for name, cells in zip(header, found.columns, strict=True):
        if name in table.shared:
            yield from own_texts(cells.to_pylist(), table.shared[name])
        elif name:  # else the column is not read
            yield table.column(name), cells


def _wrong_width(expected: int, got: int) -> RuleViolation:
    return of_line(Reason.COLUMNS, f"{expected} cells", f"{got}")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


FORMAT = FileFormat(names=("CSV", "TSV"), read=read)
