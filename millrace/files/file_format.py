"""What a format of dropped files has: names, a reader, how its files begin. A packing lies around another file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import IO

from millrace.contract.schema import Table
from millrace.files.origin import Origin
from millrace.files.parsed import Limits, Parsed


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
