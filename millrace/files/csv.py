"""Reads CSV: with a header, commas, double quotes and UTF-8, or as the contract says.

A broken line is quarantined alone. Arrow splits a block without quotes at once; a block with quotes is read line by
line. Both ways give the same rows.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from millrace.contract.csv_form import CsvForm
from millrace.contract.reasons import Reason
from millrace.contract.schema import Column, Table, parsed_schema
from millrace.contract.violation import QuarantinedRow, RuleViolation, of_line
from millrace.errors import DropError
from millrace.files.csv_header import check_names, header_of, in_words, is_of_names, reader
from millrace.files.file_format import FileFormat, TextFormat
from millrace.files.lines import BOM, Begin, ByteStream, after_mark, blocks, ended_lines_of, lines_of, raw_text
from millrace.files.origin import Origin
from millrace.files.parsed import Limits, Parsed, note_wrong_type, without_wrong

if TYPE_CHECKING:
    import pyarrow as pa

CLOSED = "quotes that close"
LONG = 20
"""The most lines of a record that is taken as it is. A longer one may be two stray quotes with rows between them."""
ALIKE = 0.9
"""The share of lines within a long quoted cell, 0 to 1, that look like rows: from this share on the record is
quarantined whole, and no line of it becomes a row."""
BLANK = " \t\r\n\x0b\x0c"


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


def begin(file: ByteStream, table: Table, limits: Limits) -> Begin:
    """The first record, behind the header. Raises DropError for a header that is not the contract's."""
    form, line = table.csv, 1
    offset = after_mark(file)
    if offset and form.encoding != "utf-8":
        raise DropError(Reason.ENCODING, expected=form.encoding.upper(), got="the mark of UTF-8")
    names = check_names(form.columns, table) if form.columns else []
    start = Begin(offset=offset, names=tuple(names))
    for raw in blocks(file, limits, most_lines=limits.rows_of(table)):
        block = _as_utf8(raw, form)
        # The header is the first line that is not blank.
        if not names and block.strip():
            skipped, names = header_of(block, table)
            return Begin(offset=offset + _end_of_line(raw, skipped), line=line + skipped, names=tuple(names))
        # If the contract says that files have no line of names, and the first line is one all the same, it is
        # quarantined, so that it does not become a row.
        blank, first = _first_line(block, form)
        if form.columns and first:
            if first.count(form.quote.encode() or b"\0") % 2 or not is_of_names(first, names, table):
                return start
            skipped = block.count(b"\n", 0, blank) + 1
            expected = "rows from the first line on (`csv.columns` of the contract)"
            violation = of_line(Reason.COLUMNS, expected, "a line of names")
            refused = QuarantinedRow(line=line + skipped - 1, violations=(violation,), raw=raw_text(first))
            offset, line = offset + _end_of_line(raw, skipped), line + skipped
            return replace(start, offset=offset, line=line, unparsable=(refused,))
        line, offset = line + raw.count(b"\n"), offset + len(raw)
    return replace(start, offset=offset, line=line)


def body(file: ByteStream, start: Begin, table: Table, limits: Limits, _: Origin | None = None) -> Iterator[Parsed]:
    """The records from `start` on, where the file is, in parts. Raises DropError as `blocks` does."""
    # A record may cross the end of a block: its lines (`rest`) are read again with the next block. Whether a block is
    # the last must be known beforehand, since a quote that is open at the end of the file never closes.
    line, rest, names = start.line, b"", list(start.names)
    parts = (_as_utf8(block, table.csv) for block in blocks(file, limits, most_lines=limits.rows_of(table)))
    following: bytes | None = next(parts, None)
    while following is not None and line < start.until:
        block, following = rest + following, next(parts, None)
        most = start.until - line
        found = _read_block(block, line, len(names), table.csv, limits, last=following is None, most=most)
        rest = found.rest
        line += block.count(b"\n") - rest.count(b"\n")
        yield _typed(found, names, table)


def spans(block: bytes, last: bool, form: CsvForm, limits: Limits) -> Iterator[int] | None:
    """The lines of each record of the block, as `body` takes them. None if each line is a record."""
    block = _as_utf8(block, form)
    return _spans(ended_lines_of(block), last, form, limits) if form.quote and form.quote.encode() in block else None


def _spans(lines: list[bytes], last: bool, form: CsvForm, limits: Limits) -> Iterator[int]:
    at = 0
    while at < len(lines):
        span = 1 if _is_blank(lines[at], form) else span_of(lines, at, form, limits)
        if span == 0 and not last:
            return
        span = span if span > 1 and _is_well_quoted(lines[at : at + span], form) else 1
        yield span
        at += span


def _end_of_line(block: bytes, number: int) -> int:
    """The place behind the line with this number, counted from 1."""
    return len(block) if block.count(b"\n") < number else len(b"\n".join(block.split(b"\n", number)[:number])) + 1


def _as_utf8(block: bytes, form: CsvForm) -> bytes:
    """The block in UTF-8. A byte that its encoding does not have stays as it is, so its line is no valid UTF-8."""
    if form.encoding == "utf-8":
        return block
    return block.decode(form.encoding, errors="surrogateescape").encode(errors="surrogateescape")


def _read_block(
    block: bytes, line: int, width: int, form: CsvForm, limits: Limits, *, last: bool, most: int = sys.maxsize
) -> _Block:
    """The records of a block that begin within its first `most` lines.

    `line` is the number of its first line, `width` the number of cells of the header."""
    # The quick way is for blocks that both ways read alike: no quotes, no lone carriage returns, no NUL, valid UTF-8.
    plain = block.replace(b"\r\n", b"\n") if b"\r" in block else block
    has_quotes = bool(form.quote) and form.quote.encode() in plain
    if has_quotes or b"\r" in plain or b"\0" in plain or not _is_utf8(plain):
        return _read_lines(ended_lines_of(block), line, width, form, limits, last=last, most=most)
    return _read_plain(plain, line, width, form, most=most)


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


def _read_plain(block: bytes, line: int, width: int, form: CsvForm, *, most: int = sys.maxsize) -> _Block:
    """The records of a block without quotes: each line is a record, and Arrow splits all good lines at once."""
    found, delimiter = _Block(), form.delimiter.encode()
    for number, text in enumerate(lines_of(block)[:most], line):
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


def _read_lines(
    lines: list[bytes],
    line: int,
    width: int,
    form: CsvForm,
    limits: Limits,
    *,
    last: bool,
    most: int = sys.maxsize,
) -> _Block:
    """The records of a block with quotes, read line by line.

    Each line has the carriage return of its end, which is part of a cell within quotes. A bad record is quarantined
    whole if its quotes stand around its cells: text in a quoted cell is never a row. Else only its first line is
    quarantined, and reading goes on behind that line. Otherwise a quote that never closes would swallow good lines:
    of `1,"a`, `2,b` and `3,c` the first is quarantined, and the other two are read."""
    import pyarrow as pa

    found, records, at = _Block(), [], 0
    while at < min(most, len(lines)):
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
            whole = span if span > 1 and _is_well_quoted(lines[at : at + span], form) else 1
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
        size += len(lines[place])
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
        cells = next(reader(text, form, strict=True))
    except UnicodeDecodeError as error:
        return of_line(Reason.ENCODING, form.encoding.upper(), repr(error.object[error.start : error.end]))
    except (csv.Error, StopIteration) as error:
        return of_line(Reason.QUOTE, CLOSED, in_words(error, text))
    return cells if len(cells) == width else _wrong_width(width, len(cells))


def _is_well_quoted(lines: list[bytes], form: CsvForm) -> bool:
    """Whether each quote of the record opens or closes a cell, or is doubled within one."""
    # Any bytes are texts in latin-1, and a NUL would be an error of its own: only the quotes matter here.
    try:
        next(reader(b"\n".join(lines).removesuffix(b"\r").replace(b"\0", b"?").decode("latin-1"), form, strict=True))
    except (csv.Error, StopIteration):
        return False
    return True


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


FORMAT = FileFormat.of_text(
    names=("CSV", "TSV"),
    text=TextFormat(
        begin=begin, body=body, spans=lambda table, limits: lambda block, last: spans(block, last, table.csv, limits)
    ),
)
