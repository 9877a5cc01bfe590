"""What a format of dropped files has: names, a reader, how its files begin. A packing lies around another file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Self

from millrace.contract.schema import Table, parsed_schema
from millrace.files.lines import Begin, ByteStream, Spans
from millrace.files.origin import Origin
from millrace.files.parsed import Limits, Parsed


@dataclass(frozen=True, kw_only=True)
class TextFormat:
    """How a text is read, from any of its records on."""

    begin: Callable[[ByteStream, Table, Limits], Begin]
    """Finds the first record. Raises DropError as `read_drop` does."""
    body: Callable[[ByteStream, Begin, Table, Limits, Origin | None], Iterator[Parsed]]
    """Reads the rest of a file in parts; the file is at the record. Raises DropError as `read_drop` does."""
    spans: Callable[[Table, Limits], Spans]
    """Tells the records of a block."""

    def read(self, path: Path, table: Table, limits: Limits, origin: Origin | None) -> Iterator[Parsed]:
        """The whole file in parts."""
        with path.open("rb") as file:
            start = self.begin(file, table, limits)
            yield Parsed(rows=parsed_schema(table).empty_table(), unparsable=start.unparsable)
            file.seek(start.offset)
            yield from self.body(file, start, table, limits, origin)


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """One format of dropped files."""

    names: tuple[str, ...]
    """The names of the sorts of files that the format takes, for people: CSV and TSV."""
    read: Callable[[Path, Table, Limits, Origin | None], Iterator[Parsed]]
    """Reads the file in parts. Raises DropError as `read_drop` does."""
    begins: Callable[[bytes], bool] | None = None
    """Whether a file that begins with these bytes has this format, whatever the contract says.

    None for text formats, which are known by their lines."""
    text: TextFormat | None = None
    """None for a format that has no lines."""

    @classmethod
    def of_text(cls, *, names: tuple[str, ...], text: TextFormat) -> Self:
        """The format of a text."""
        return cls(names=names, read=text.read, text=text)


@dataclass(frozen=True, kw_only=True)
class Packed:
    """The file within a packed one."""

    name: str
    """Its name, without folders: `rows.csv`."""
    content: BufferedIOBase | IO[bytes]
    size: int | None = None
    """The bytes that it has by the packed file's own word; None if that says nothing."""


@dataclass(frozen=True, kw_only=True)
class Packing:
    """One way to compress a dropped file."""

    name: str
    """For people: gzip."""
    magic: bytes
    """The first bytes of such files."""
    open: Callable[[Path], AbstractContextManager[Packed]]
    """Opens the one file within.

    Raises DropError where there is not one, and, while its bytes are read, where they are damaged."""
