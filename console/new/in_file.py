"""Reads the file by the proposed contract, as ingestion will read it. Nothing is converted on the way to a drop."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from console.new.observed import Observed
from console.new.source import Source
from millrace.contract.reasons import Reason
from millrace.contract.schema import Column, Table, parsed_schema
from millrace.contract.violation import QuarantinedRow
from millrace.errors import ConfigurationError, DropError
from millrace.files.origin import Origin
from millrace.files.parsed import Limits
from millrace.files.sniff import read_drop

if TYPE_CHECKING:
    import pyarrow as pa


def as_in_file(table: Table, seen: Sequence[Observed], source: Source) -> Table:
    """The table with how the file is written: names of columns, times, words for missing cells, and ignored columns.

    A word for a missing cell that came in one column holds in all, as the next file may have it elsewhere. Two
    exceptions: a label has no word that is one of its classes, and an own word holds in its own column alone."""
    observed = {column.name: column for column in seen}
    words = tuple(
        dict.fromkeys(word for column in seen for word in column.missing_words if word not in column.own_words)
    )
    columns = tuple(
        replace(
            column,
            physical_name=source.names_in_file.get(column.name),
            time_format=observed[column.name].time_format,
            missing_words=_words_of(column, observed[column.name], words),
        )
        for column in table.columns
    )
    # Columns of the file that the contract does not have are named as ignored, by their names in the file.
    left = [name for name in source.table.column_names if name not in table.names]
    ignored = tuple(source.names_in_file.get(name, name) for name in left)
    return replace(table, columns=columns, csv=source.csv, ignored=ignored).with_missing_values()


def _words_of(column: Column, seen: Observed, words: tuple[str, ...]) -> tuple[str, ...]:
    if not column.label or seen.kind != "string":
        return (*words, *(word for word in seen.own_words if word not in words))
    classes = set(seen.cells.unique().to_pylist())
    return tuple(word for word in words if word not in classes)


def read_rows(path: Path, table: Table, *, at: datetime) -> tuple[pa.Table, tuple[QuarantinedRow, ...]]:
    """The typed rows with `_line`, and the lines that are no rows. `at` is the time of rows without one of their own.

    Raises ConfigurationError if ingestion would refuse the whole file."""
    import pyarrow as pa

    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # The digest of the file is a part of the row ids that ingestion generates.
    origin = Origin(name=path.name, at=at, digest=digest, fetch=_no_object)
    size = path.stat().st_size
    limits = Limits(file_bytes=max(size, 1), line_bytes=max(size, 2**20))
    try:
        parts = list(read_drop(path, table, limits, origin))
    except DropError as error:
        raise ConfigurationError(where=path.name, field="rows", expected=error.expected, came=error.got) from None
    rows = pa.concat_tables([parsed_schema(table).empty_table(), *(part.rows for part in parts)])
    return rows, tuple(row for part in parts for row in part.unparsable)


def _no_object(key: str, version_id: str) -> bytes:
    """Stands for the fetch of objects to which rows refer. There is no landing bucket here, so it raises DropError."""
    raise DropError(Reason.MISSING, expected="a table without references", got=f"{key} at {version_id}")
