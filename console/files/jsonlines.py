"""JSON lines: each line is a record."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path

from millrace.console.files.table_file import TableFile, first_line, marked, write_pieces, write_records
from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import Table


def _column_names(file: Path, _: CsvForm) -> list[str]:
    return list(json.loads(first_line(file)))


def _write_rows(dropped: Path, _: Table, wanted: Collection[int], path: Path) -> None:
    lines = dropped.read_bytes().count(b"\n") + 1
    write_records(dropped, range(1, lines + 1), wanted, path, has_names=False)


def _write_pieces(source: Path, _: Table, folder: Path, count: int) -> Iterator[Path]:
    mark, data = marked(source)
    # What follows the last line end is a record only if it is not empty.
    *lines, last = [line + b"\n" for line in data.split(b"\n")]
    records = [*lines, *([last.removesuffix(b"\n")] if last != b"\n" else [])]
    yield from write_pieces(source, mark, records, folder, count)


FORMAT = TableFile(column_names=_column_names, write_rows=_write_rows, write_pieces=_write_pieces)
