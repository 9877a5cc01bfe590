"""What a format of dropped files has: names, a reader, and how its files begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

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
