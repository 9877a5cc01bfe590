"""The formats of dropped files, and their packings, by the names that the code uses for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from millrace.contract.schema import Table
from millrace.files import csv, gzipped, image, jsonlines, zipped
from millrace.files.file_format import FileFormat, Packing
from millrace.files.origin import Origin
from millrace.files.parsed import Limits, Parsed


def _read_parquet(path: Path, table: Table, limits: Limits, origin: Origin | None) -> Iterator[Parsed]:
    from millrace.files.parquet import read  # imports pyarrow, which few callers need

    return read(path, table, limits, origin)


FORMATS: Mapping[str, FileFormat] = {
    "csv": csv.FORMAT,
    "jsonlines": jsonlines.FORMAT,
    "parquet": FileFormat(names=("Parquet",), read=_read_parquet, begins=lambda head: head.startswith(b"PAR1")),
    "image": image.FORMAT,
}
PACKINGS: Mapping[str, Packing] = {
    "gzip": gzipped.FORMAT,
    "zip": zipped.FORMAT,
}


def named(formats: Iterable[FileFormat]) -> str:
    """The names of several formats for people: `CSV, Parquet or an image`."""
    *others, last = [name for one in formats for name in one.names]
    return f"{', '.join(others)} or {last}" if others else last
