"""A Parquet file by its footer and the headers of its pages: how much it would take, before any of it is unpacked.

Read from the bytes (https://parquet.apache.org/docs/file-format, in Thrift's compact protocol): pyarrow shows no page
header, its reader of a column's metadata ends the process where a footer contradicts itself, and that of the schema
where columns lie some ten thousand deep within each other."""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from millrace.contract.reasons import Reason
from millrace.errors import DropError

FOOTER_BYTES = 8
"""At the end of the file: the length of its metadata in four bytes, then PAR1."""
TRUE, FALSE, BYTE, DOUBLE, TEXT, LIST, SET, MAP, STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
INTEGERS = (4, 5, 6)
SCHEMA, ROW_GROUPS, CHILDREN = 2, 4, 5
"""Fields of the footer, and of a column of its schema."""
DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE = 0, 1, 2
DICTIONARY_ENCODINGS = (2, 8)
DELTA_LENGTHS, DELTA_PREFIXES = 6, 7
MOST_PARTS, MOST_VALUES = 500_000, 5_000_000
"""Of a footer: columns, row groups and columns of row groups, of which pyarrow makes some kilobyte each; and all texts
and structures within them. Such a footer takes some hundred megabytes, one of 30 MB could take 7 GB."""
MOST_NESTED = 100
"""Columns within each other."""
MOST_DEPTH = 16
"""Of structures within each other; the format itself has six."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A data page of a column."""

    first: int
    """Its first row, from 0."""
    rows: int
    size: int
    """Bytes, unpacked."""
    encoding: int
    words: int
    """Number of words in the dictionary that its cells name; 0 where they name none."""
    words_size: int
    """Bytes of that dictionary, unpacked."""


def check_footer(path: Path) -> None:
    """Raise DropError `too_large` for a footer that pyarrow would take too much memory or stack to read, `corrupt` for
    one that is none."""
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
    if came > most:
        raise DropError(Reason.TOO_LARGE, expected=f"a Parquet file of {most} {what} at most", got="more")


def _footer(data: mmap.mmap) -> _Compact:
    end = len(data) - FOOTER_BYTES
    return _Compact(data, end - int.from_bytes(data[end : end + 4], "little"))


def _columns(footer: _Compact) -> Iterator[int]:
    """For each column of the schema, and each that others lie in, how deep it lies."""
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
    """The data pages of each of these columns, which are flat, in the order of the rows.

    Raises DropError `corrupt` where the headers cannot be read, `too_large` where there are more than `most`."""
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
    start: int


def _chunks(footer: _Compact) -> Iterator[_Chunk]:
    """Those of FileMetaData: its row groups are field 4, their columns field 1, a column's metadata field 3."""
    for _ in footer.find(ROW_GROUPS):
        for _ in footer.items():
            for _ in footer.find(1):
                for _ in footer.items():
                    said, texts = footer.struct(inside=(3,))
                    start, words = said[309], said.get(311, 0)
                    yield _Chunk(
                        column=".".join(texts[303]),
                        values=said[305],
                        start=words if 0 < words < start else start,  # some writers say 0 for none
                    )


def _pages(chunk: _Chunk, data: mmap.mmap, *, first: int) -> Iterator[Page]:
    at, rows, words, words_size = chunk.start, 0, 0, 0
    while rows < chunk.values:
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
    """Thrift's compact protocol from a place in a file on; raises ValueError or IndexError where it is not that."""

    def __init__(self, data: mmap.mmap, at: int) -> None:
        if at < 0:
            raise ValueError("a place before the file")
        self._data, self.at = data, at
        self._values = 0

    def struct(self, inside: Collection[int] = ()) -> tuple[dict[int, int], dict[int, list[str]]]:
        """The integers and the lists of texts of a structure, by field; those of the structures `inside` it by
        their own field too: 305 is field 5 of field 3."""
        numbers: dict[int, int] = {}
        texts: dict[int, list[str]] = {}
        for number, kind in self.fields():
            if kind in INTEGERS:
                numbers[number] = self._integer()
            elif kind == STRUCT and number in inside:
                its_numbers, its_texts = self.struct()
                numbers |= {100 * number + each: value for each, value in its_numbers.items()}
                texts |= {100 * number + each: value for each, value in its_texts.items()}
            elif kind == LIST and self._data[self.at] & 15 == TEXT:
                texts[number] = [self._text() for _ in range(self._header()[0])]
            else:
                self.skip(kind)
        return numbers, texts

    def find(self, wanted: int) -> Iterator[None]:
        """Once at the field's value, which must be read before the next step; the other fields are skipped."""
        for number, kind in self.fields():
            if number == wanted and kind == LIST:
                yield
            else:
                self.skip(kind)

    def items(self) -> Iterator[None]:
        """Once at each element of a list, which must be read before the next step."""
        for _ in range(self._header()[0]):
            yield

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and type of each field of a structure, whose value must be read before the next step."""
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            yield number, head & 15

    def _header(self) -> tuple[int, int]:
        """Number and type of a list's elements."""
        head = self._byte()
        return (head >> 4 if head >> 4 < 15 else self._unsigned()), head & 15

    def _byte(self) -> int:
        byte = self._data[self.at]
        self.at += 1
        return byte

    def _unsigned(self) -> int:
        value, shift = 0, 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")
        return value | byte << shift

    def _integer(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _text(self) -> str:
        size = self._unsigned()
        self.at += size
        return self._data[self.at - size : self.at].decode()

    def skip(self, kind: int, depth: int = 0) -> None:
        """Pass a value by."""
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
        """Elements of a list or a map: a boolean takes a byte there."""
        if number * len(kinds) > len(self._data) - self.at:
            raise ValueError("a list longer than the file")
        for _ in range(number):
            for kind in kinds:
                self.skip(BYTE if kind in (TRUE, FALSE) else kind, depth + 1)
