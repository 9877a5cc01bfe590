"""What is read of a file that holds several tables, and what a format of such files has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millrace.console.files.grid import Grid


@dataclass(frozen=True, kw_only=True)
class Inside:
    """The options of a person; empty for those that were not given."""

    sheet: str = ""
    table: str = ""
    sql: str = ""


@dataclass(frozen=True, kw_only=True)
class Convertible:
    """A format that the console turns into JSON lines, since ingestion does not read it."""

    name: str
    """For people."""
    options: tuple[str, ...]
    """The fields of `Inside` that such a file takes."""
    begins: Callable[[Path, bytes], bool]
    """Whether the file at the path, which begins with these bytes, has this format."""
    read: Callable[[Path, Inside], Grid]
    """Raises ConfigurationError for a file that cannot be read."""
