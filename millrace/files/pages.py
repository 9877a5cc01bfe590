"""Tells how much memory a Parquet file would take, by its footer and the headers of its pages, before any is unpacked.

Both are read from the bytes (https://parquet.apache.org/docs/file-format, in Thrift's compact protocol), for three
reasons. pyarrow shows no page headers. Its reader of a column's metadata ends the process if a footer contradicts
itself. Its reader of the schema does so if columns lie within each other some ten thousand deep."""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from millrace.contract.reasons import Reason
from millrace.errors import DropError

FOOTER_BYTES = 8
"""The bytes at the end of the file: the length of its metadata in four bytes, then PAR1."""
TRUE, FALSE, BYTE, DOUBLE, TEXT, LIST, SET, MAP, STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
"""The types of Thrift's compact protocol."""
INTEGERS = (4, 5, 6)
"""The types of integers: of 16, 32 and 64 bits."""
SCHEMA, ROW_GROUPS, CHILDREN = 2, 4, 5
"""Two fields of the footer, and the number of children as a field of a column in its schema."""
DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE = 0, 1, 2
"""The types of pages that are told apart; a data page of version 2 has the type 3."""
DICTIONARY_ENCODINGS = (2, 8)
"""The encodings of cells that name words of a dictionary: PLAIN_DICTIONARY and RLE_DICTIONARY."""
DELTA_LENGTHS, DELTA_PREFIXES = 6, 7
"""The encodings DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY; in the latter a cell may repeat a prefix of the last."""
MOST_PARTS, MOST_VALUES = 500_000, 5_000_000
"""The bounds of a footer. Parts are columns, row groups and columns of row groups: pyarrow makes about a kilobyte of
each. Values are all texts and structures. A footer within the bounds takes some hundred megabytes of memory; without
them, one of 30 MB could take 7 GB."""
MOST_NESTED = 100
"""How deep columns may lie within each other."""
MOST_DEPTH = 16
"""How deep structures of the footer may lie within each other; the format itself has six levels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A data page of a column."""

    first: int
    """The number of its first row in the file, from 0."""
    rows: int
    """The number of its rows."""
    size: int
    """Its bytes, unpacked."""
    encoding: int
    """The number of its encoding in Parquet's list."""
    words: int
    """The number of words in the dictionary of its cells; 0 if it has no dictionary."""
    words_size: int
    """The bytes of that dictionary, unpacked."""


def check_footer(path: Path) -> None:
    """Raise DropError for a footer that pyarrow must not read.

    The reason is `too_large` if pyarrow would take too much memory or stack for it, `corrupt` if it is no footer."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            footer = _footer(data)
            parts = 0
            for number, kind in footer.fields():
                if number in (SCHEMA, ROW_GROUPS) and kind == LIST:
                    for found in _columns(footer) if number == SCHEMA else _parts(footer):
                        parts += 1
                        _bound("columns within each other", found, MOST_NESTED)
                        _bound("columns and row groups", parts, MOST_PARTS)
                else:
                    footer.skip(kind)
    except (IndexError, ValueError) as error:
        raise DropError(
            Reason.CORRUPT, expected="a readable Parquet file", got=f"a footer that cannot be read: {error}"
        ) from None


def _bound(what: str, came: int, most: int) -> None:
    """Raise DropError `too_large` if more came than may."""
    if came > most:
        raise DropError(Reason.TOO_LARGE, expected=f"a Parquet file of {most} {what} at most", got="more")


def _footer(data: mmap.mmap) -> _Compact:
    """A reader at the first byte of the footer's metadata."""
    end = len(data) - FOOTER_BYTES
    return _Compact(data, end - int.from_bytes(data[end : end + 4], "little"))


def _columns(footer: _Compact) -> Iterator[int]:
    """How deep each column of the schema lies; columns that others lie in are among them."""
    # The schema is a flat list: each column says how many of the next ones are its children. `open_` has, for each
    # column that is not complete, how many children are still to come.
    open_: list[int] = []
    for _ in footer.items():
        numbers, _ = footer.struct()
        while open_ and not open_[-1]:
            open_.pop()
        if open_:
            open_[-1] -= 1
        yield len(open_)
        if (children := numbers.get(CHILDREN, 0)) > 0:
            open_.append(children)


def _parts(footer: _Compact) -> Iterator[int]:
    """0 for each row group and for each of its columns."""
    for _ in footer.items():
        yield 0
        for _ in footer.find(1):
            for _ in footer.items():
                footer.skip(STRUCT)
                yield 0


def pages_of(path: Path, columns: Collection[str], *, most: int) -> dict[str, list[Page]]:
    """The data pages of each of these columns, in the order of the rows. The columns are not nested.

    Raises DropError `corrupt` if the headers cannot be read, `too_large` for more than `most` pages."""
    found: dict[str, list[Page]] = {name: [] for name in columns}
    left = most
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for chunk in _chunks(_footer(data)):
                if (pages := found.get(chunk.column)) is None:
                    continue
                for page in _pages(chunk, data, first=pages[-1].first + pages[-1].rows if pages else 0):
                    pages.append(page)
                    left -= 1
                    if left < 0:
                        raise DropError(Reason.TOO_LARGE, expected=f"{most} pages at most", got="more")
    except (IndexError, ValueError, KeyError) as error:
        got = f"headers of pages that cannot be read: {error}"
        raise DropError(Reason.CORRUPT, expected="a readable Parquet file", got=got) from None
    return found


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """The pages of a column in one row group."""

    column: str
    values: int
    """The number of cells in all pages."""
    start: int
    """The place in the file where the first page begins."""


def _chunks(footer: _Compact) -> Iterator[_Chunk]:
    """The chunks of all columns, by the footer: row groups are its field 4, their columns field 1 of each."""
    for _ in footer.find(ROW_GROUPS):
        for _ in footer.items():
            for _ in footer.find(1):
                for _ in footer.items():
                    # Field 3 of a column is its metadata, with the path (3), the number of values (5) and the places
                    # of the first data page (9) and of the dictionary page (11), if there is one.
                    said, texts = footer.struct(inside=(3,))
                    start, words = said[309], said.get(311, 0)
                    yield _Chunk(
                        column=".".join(texts[303]),
                        values=said[305],
                        start=words if 0 < words < start else start,  # some writers say 0 if there is no dictionary
                    )


def _pages(chunk: _Chunk, data: mmap.mmap, *, first: int) -> Iterator[Page]:
    """The data pages of the chunk, whose first row has the number `first`. Only their headers are read."""
    at, rows, words, words_size = chunk.start, 0, 0, 0
    while rows < chunk.values:
        # A header has the type (1), the sizes unpacked (2) and packed (3), and one of three structures: of a data page
        # (5), of a dictionary page (7) or of a data page of version 2 (8). Each of them begins with its number of rows
        # or words; the encoding is field 2 in version 1, and field 4 in version 2.
        header = _Compact(data, at)
        said, _ = header.struct(inside=(5, 7, 8))
        kind, unpacked, packed = said[1], said[2], said[3]
        if not (0 <= unpacked < 2**31 and 0 <= packed < 2**31):
            raise ValueError(f"a page of {unpacked} bytes, {packed} in the file")
        at, size = header.at + packed, max(unpacked, packed)
        if kind == DICTIONARY_PAGE:
            words, words_size = said[701], size
        elif kind != INDEX_PAGE:
            number, encoding = (said[501], said[502]) if kind == DATA_PAGE else (said[801], said[804])
            if not 0 <= number < 2**31:
                raise ValueError(f"a page of {number} rows")
            named = encoding in DICTIONARY_ENCODINGS
            yield Page(
                first=first + rows,
                rows=number,
                size=size,
                encoding=encoding,
                words=words if named else 0,
                words_size=words_size if named else 0,
            )
            rows += number


class _Compact:
    """Reads Thrift's compact protocol, from a place in a file on.

    Raises ValueError or IndexError for bytes that are not in this protocol."""

    def __init__(self, data: mmap.mmap, at: int) -> None:
        if at < 0:
            raise ValueError("a place before the file")
        self._data, self.at = data, at
        self._values = 0

    def struct(self, inside: Collection[int] = ()) -> tuple[dict[int, int], dict[int, list[str]]]:
        """The integers and the lists of texts of a structure, each by the number of its field.

        `inside` are fields with structures to read as well: 305 is then field 5 of the structure in field 3."""
        numbers: dict[int, int] = {}
        texts: dict[int, list[str]] = {}
        for number, kind in self.fields():
            if kind in INTEGERS:
                numbers[number] = self._integer()
            elif kind == STRUCT and number in inside:
                its_numbers, its_texts = self.struct()
                numbers |= {100 * number + each: value for each, value in its_numbers.items()}
                texts |= {100 * number + each: value for each, value in its_texts.items()}
            elif kind == LIST and self._data[self.at] & 15 == TEXT:  # a list begins with the type of its elements
                texts[number] = [self._text() for _ in range(self._header()[0])]
            else:
                self.skip(kind)
        return numbers, texts

    def find(self, wanted: int) -> Iterator[None]:
        """Stops once, at the list in the field `wanted`, which must be read before the next step.

        The other fields are skipped."""
        for number, kind in self.fields():
            if number == wanted and kind == LIST:
                yield
            else:
                self.skip(kind)

    def items(self) -> Iterator[None]:
        """Stops at each element of a list; the element must be read before the next step."""
        for _ in range(self._header()[0]):
            yield

    def fields(self) -> Iterator[tuple[int, int]]:
        """The number and the type of each field of a structure; its value must be read before the next step."""
        # A byte has the distance to the last field's number and the type. If the distance is 0, the number follows.
        # The byte 0 ends the structure.
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            yield number, head & 15

    def _header(self) -> tuple[int, int]:
        """The number and the type of a list's elements."""
        head = self._byte()
        return (head >> 4 if head >> 4 < 15 else self._unsigned()), head & 15

    def _byte(self) -> int:
        byte = self._data[self.at]
        self.at += 1
        return byte

    def _unsigned(self) -> int:
        """A number in 7 bits a byte, the lowest first; the highest bit says that another byte follows."""
        value, shift = 0, 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")
        return value | byte << shift

    def _integer(self) -> int:
        """A signed number, in zigzag: 0, -1, 1, -2 are written as 0, 1, 2, 3."""
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _text(self) -> str:
        size = self._unsigned()
        self.at += size
        return self._data[self.at - size : self.at].decode()

    def skip(self, kind: int, depth: int = 0) -> None:
        """Skip a value of this type."""
        if depth > MOST_DEPTH:
            raise ValueError("structures within each other")
        self._count(kind)
        if kind in INTEGERS:
            self._unsigned()
        elif kind in (BYTE, DOUBLE):
            self.at += 1 if kind == BYTE else 8
        elif kind == TEXT:
            size = self._unsigned()
            self.at += size
        elif kind in (LIST, SET):
            number, of = self._header()
            self._skip_all(number, (of,), depth)
        elif kind == MAP:
            if number := self._unsigned():
                of = self._byte()
                self._skip_all(number, (of >> 4, of & 15), depth)
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        elif kind not in (TRUE, FALSE):
            raise ValueError(f"a value of type {kind}")

    def _count(self, kind: int) -> None:
        self._values += kind in (TEXT, STRUCT)
        if self._values > MOST_VALUES:
            _bound("texts and structures of its footer", self._values, MOST_VALUES)

    def _skip_all(self, number: int, kinds: tuple[int, ...], depth: int) -> None:
        """Skip the elements of a list or a map; a boolean takes a byte there, and none as a field."""
        if number * len(kinds) > len(self._data) - self.at:
            raise ValueError("a list longer than the file")
        for _ in range(number):
            for kind in kinds:
                self.skip(BYTE if kind in (TRUE, FALSE) else kind, depth + 1)
