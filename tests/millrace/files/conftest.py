"""Files as people write them, by a writer that knows nothing of the readers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from millrace.contract.schema import Table
from millrace.files.origin import Origin
from millrace.files.parsed import Limits, Parsed
from millrace.files.sniff import read_drop

Read = Callable[..., Parsed]
STRFTIME = {
    "EEE": "%a",
    "yyyy": "%Y", "uuuu": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "dd": "%d", "HH": "%H",
    "hh": "%I", "mm": "%M", "ss": "%S", "SSSSSS": "%f", "a": "%p", "XX": "%z",
    "M": "%-m", "d": "%-d", "H": "%-H", "h": "%-I", "m": "%-M", "s": "%-S",
}  # fmt: skip


def write_time(at: datetime, words: list[str]) -> str:
    """The time in the letters of a pattern, each a word; anything else stands for itself."""
    # The C library writes the year 1 as it likes.
    forms = STRFTIME | dict.fromkeys(("yyyy", "uuuu"), f"{at.year:04}")
    return "".join(at.strftime(forms[word]) if word in forms else word.strip("'") for word in words)


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """The rows of a file with these bytes, all parts as one."""

    def run(data: bytes, table: Table, limits: Limits | None = None, origin: Origin | None = None) -> Parsed:
        path: Path = tmp_path_factory.mktemp("drop") / "drop"
        path.write_bytes(data)
        parts = list(read_drop(path, table, limits, origin))
        return Parsed(
            rows=pa.concat_tables([part.rows for part in parts]),
            unparsable=tuple(row for part in parts for row in part.unparsable),
        )

    return run
