"""What a format of dropped files says of itself."""

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
    """As people read them, one for each sort of file that it takes."""
    read: Callable[[Path, Table, Limits, Origin | None], Iterator[Parsed]]
    """The file in parts; raises DropError as `read_drop`."""
    begins: Callable[[bytes], bool] | None = None
    """Whether a file that begins so is one, whatever the contract says; None for text, which is told by its lines."""
