"""Whom an erasure is about, and what is left of a file without the person's records.

CSV, JSON lines and Parquet lose records, also in gzip and zip, whose rest is a gzip; any other file goes as a whole."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import zipfile
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress, repeat
from typing import TYPE_CHECKING, Any

from millrace.contract.csv_form import ENCODINGS, CsvForm
from millrace.files.csv import reader_of
from millrace.files.row_batches import is_binary

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET, GZIP, ZIP, TAR = b"PAR1", b"\x1f\x8b", b"PK\x03\x04", b"ustar"
ARROW = (b"ARROW1", b"\xff\xff\xff\xff")
"""How a file and a stream of Arrow begin."""
ANSWER = b'"eJ'
"""How the answer of a repeated request begins: a text of JSON in base64, packed by zlib."""
UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile)
"""The errors of a packed file that is cut off, broken or encrypted."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """A cell of the key, and what belongs to it."""

    cells: Mapping[str, frozenset[str]]
    """By column: {"customer": {"c-1783"}, "prediction_id": {"r-0-17"}}. A record with one of them is theirs."""
    is_number: bool = False
    """Whether the key is a whole number. Out of its column it says nothing: 1783 may be a price."""

    def may_be_in(self, body: bytes) -> bool:
        """Whether one of the cells stands in the file, in whatever format it is packed. Raises one of UNREADABLE."""
        return any(map(self.names, texts(body, self.cells)))

    def is_in(self, body: bytes, form: CsvForm | None = None) -> bool:
        """Whether the file names the person, as a number in its column. Raises one of UNREADABLE."""
        return bool(rest_of(body, self, self.owns, form)[1]) if self.is_number else self.may_be_in(body)

    def names(self, text: bytes) -> bool:
        """Whether one of the cells stands in the text, and is no part of a longer word: `c-17` is not in `c-178`."""
        return self._words.search(unescaped(text)) is not None

    def owns(self, record: bytes) -> bool:
        """Whether the JSON has one of the cells under its column, at any depth and in JSON within it."""
        return self._fields.search(unescaped(record)) is not None

    def is_named_by(self, key: str) -> bool:
        """Whether the key of an object names the person. A `_` parts words in it, unless a cell has one."""
        has_mark = any("_" in cell for cell in chain(*self.cells.values()))
        return not self.is_number and self.names((key if has_mark else key.replace("_", " ")).encode())

    @cached_property
    def _words(self) -> re.Pattern[bytes]:
        return re.compile(rb"(?<![\w-])" + self._zeros + _any(chain(*self.cells.values())) + rb"(?![\w-])")

    @cached_property
    def _fields(self) -> re.Pattern[bytes]:
        # A number may be a cell of a column of texts, if it was refused. A broken line may end within the cell. A comma
        # or a quote may be a part of a text: `Miller` is neither "Miller, Jane" nor "Miller's".
        field = rb'"%b"\s*:\s*(?:"\s*%b\s*(?:$|"\s*(?:[,}\]]|$))|%b\s*(?:[,}\]]|$))'
        ends = rb"(?:\.0+)?" if self.is_number else b""
        each = ((_any([name]), self._zeros + _any(cells) + ends) for name, cells in self.cells.items() if cells)
        return re.compile(b"|".join(field % (name, cell, cell) for name, cell in each))

    @property
    def _zeros(self) -> bytes:
        return rb"\+?0*" if self.is_number else b""

    def has(self, column: str, cell: str, form: CsvForm) -> bool:
        """Whether the cell under the column of a CSV file is theirs."""
        plain = cell.strip()
        if self.is_number:
            plain = plain.lstrip("+0").replace(form.thousands, "").removesuffix(".0")
        return plain in self.cells.get(column, ())


def _any(cells: Iterable[str]) -> bytes:
    """The regular expression of the cells in each encoding."""
    each = ((cell.encode(encoding, errors="ignore"), cell, encoding) for cell in cells for encoding in ENCODINGS)
    forms = {unescaped(form).strip(b'" ') for form, cell, encoding in each if form.decode(encoding) == cell}
    return b"(?:" + b"|".join(map(re.escape, sorted(forms))) + b")"


def unescaped(text: bytes) -> bytes:
    """The text with one form for what JSON, JSON within JSON and CSV write in several: `\\"`, `""` and `\'` are `"`."""
    if b"\\" in text:
        text = re.sub(rb"(?:\\+u[0-9a-fA-F]{4})+", _characters, text)
        text = re.sub(rb"\\+[bfnrt]", b" ", text).replace(b"\\", b"")
    return re.sub(rb"[\"']{2,}|'", b'"', text)


def _characters(escapes: re.Match[bytes]) -> bytes:
    units = bytes.fromhex(re.sub(rb"\\+u", b"", escapes[0]).decode())
    return units.decode("utf-16-be", errors="replace").encode()


Rest = tuple[bytes | None, Sequence[bytes]]
"""What is left of a file, None if nothing is, or if it can only go as a whole; and the person's records, as JSON or as
they stood in the file."""


def rest_of(body: bytes, person: Person, is_theirs: Callable[[bytes], bool], form: CsvForm | None = None) -> Rest:
    """The file without the records that are the person's; `form` is of the CSV files in its folder."""
    has_marks = person.is_number and form is not None and bool(form.thousands)
    if not has_marks and not person.may_be_in(body):
        return body, ()
    if inner := _unpacked(body):
        rest, removed = rest_of(inner, person, is_theirs, form)
        return rest and gzip.compress(rest), removed
    if body.startswith(PARQUET):
        return _of_parquet(body, person, is_theirs)
    if body.startswith(ARROW):
        rows = chain.from_iterable(map(_records, _tables(body)))
        return (None, [body]) if any(map(is_theirs, rows)) else (body, ())
    if body[257:262] == TAR:
        return None, [body]
    lines = body.splitlines(keepends=True)
    if form and not body.removeprefix(BOM_UTF8).lstrip().startswith((b"{", b"[")):
        theirs = list(_of_csv(lines, person, form))
    else:
        lines = [body] if body.startswith((b"{\n", b"[\n")) else lines  # one document in several lines
        theirs = list(map(is_theirs, lines))
    kept = b"".join(compress(lines, (not one for one in theirs)))
    return kept or None, [*compress(lines, theirs)]


def _of_parquet(body: bytes, person: Person, is_theirs: Callable[[bytes], bool]) -> Rest:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    source, sink, removed = pq.ParquetFile(io.BytesIO(body)), pa.BufferOutputStream(), list[bytes]()
    # A dictionary would keep the values of rows that left.
    how: Any = {"compression": "zstd", "write_page_checksum": True, "use_dictionary": False}
    with pq.ParquetWriter(sink, source.schema_arrow, **how) as writer:
        for number in range(source.num_row_groups):
            part = source.read_row_group(number)
            if any(map(person.names, _texts_of(part, person.cells))):
                theirs = [*map(is_theirs, rows := _records(part))]
                part, removed = part.filter(pc.invert(pa.array(theirs))), [*removed, *compress(rows, theirs)]
            writer.write_table(part)
    return sink.getvalue().to_pybytes(), removed


def _tables(body: bytes) -> Iterator[pa.Table]:
    """The rows of a file of Parquet, by row group, or of Arrow; none of any other file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if body.startswith(PARQUET):
        source = pq.ParquetFile(io.BytesIO(body))
        yield from map(source.read_row_group, range(source.num_row_groups))
    elif body.startswith(ARROW):
        yield (pa.ipc.open_file if body.startswith(ARROW[0]) else pa.ipc.open_stream)(body).read_all()


def _records(rows: pa.Table) -> list[bytes]:
    """Each row as JSON, without its images."""
    rows = rows.select([field.name for field in rows.schema if not is_binary(field.type)])
    return [json.dumps(row, default=str).encode() for row in rows.to_pylist()]


def _of_csv(lines: Sequence[bytes], person: Person, form: CsvForm) -> Iterator[bool]:
    """Whether each line is of a record with a cell of the person's, under its column.

    A record of another length than the first was refused, perhaps with lines between stray quotes: each of its lines
    goes by itself that names the person. So do those of a file without the columns."""
    texts = (line.decode(form.encoding, errors="surrogateescape") for line in lines)
    reader: Any = reader_of(texts, form, strict=False)
    header, start = [*form.columns], 0
    for cells in reader:
        span, start = lines[start : reader.line_num], reader.line_num
        header = header or [cell.strip().lstrip("\ufeff") for cell in cells]
        if len(cells) == len(header) and not person.cells.keys().isdisjoint(header):
            yield from [any(map(person.has, header, cells, repeat(form)))] * len(span)
        else:
            yield from map(person.names, span)


def cells_in(body: bytes, columns: Container[str], form: CsvForm | None = None) -> Iterator[str]:
    """The cells under these columns, at any depth of a file in whatever format. Raises one of UNREADABLE."""
    if inner := _unpacked(body):
        yield from cells_in(inner, columns, form)
    elif form and not body.lstrip().startswith((PARQUET, *ARROW, b"{", b"[")):
        lines = body.decode(form.encoding, errors="surrogateescape").splitlines(keepends=True)
        reader: Any = reader_of(iter(lines), form, strict=False)
        header = [*form.columns] or [cell.strip().lstrip("\ufeff") for cell in next(reader, ())]
        for cells in reader:
            plain = (cell.strip().replace(form.thousands, "") if form.thousands else cell.strip() for cell in cells)
            yield from compress(plain, (name in columns for name in header))
    else:
        for record in chain(chain.from_iterable(map(_records, _tables(body))), body.splitlines()):
            with suppress(ValueError):
                yield from _within(json.loads(record), columns)


def _within(document: Any, columns: Container[str]) -> Iterator[str]:
    if isinstance(document, dict):
        yield from (str(cell) for name, cell in document.items() if name in columns)
        document = [*document.values()]
    if isinstance(document, list):
        for one in document:
            yield from _within(one, columns)
    elif isinstance(document, str) and document.startswith(("{", "[")):
        with suppress(ValueError):
            yield from _within(json.loads(document), columns)


def texts(body: bytes, columns: Container[str]) -> Iterator[bytes]:
    """All texts of a file, as they stand in it when it is unpacked, and numbers of the columns."""
    yield body
    if inner := _unpacked(body):
        yield from texts(inner, columns)
    for rows in _tables(body):
        yield from _texts_of(rows, columns)


def _unpacked(body: bytes) -> bytes:
    """What is in a gzip, in a zip (mostly of one file) or in an answer; nothing of any other file."""
    if body.startswith(GZIP):
        return gzip.decompress(body)
    if body.startswith(ANSWER):
        return zlib.decompress(base64.b64decode(json.loads(body)))
    if not body.startswith(ZIP):
        return b""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return b"\n".join(map(archive.read, archive.namelist()))


def _texts_of(rows: pa.Table, columns: Container[str]) -> Iterator[bytes]:
    """The texts of each column, also of those within structures."""
    import pyarrow as pa

    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if name in columns or not (pa.types.is_primitive(column.type) or is_binary(column.type)):
            yield "\n".join(map(str, column.to_pylist())).encode()
