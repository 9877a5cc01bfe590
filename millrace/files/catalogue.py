"""The formats of dropped files, by the names that the code uses for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from millrace.files import csv, image, jsonlines, parquet
from millrace.files.file_format import FileFormat

FORMATS: Mapping[str, FileFormat] = {
    "csv": csv.FORMAT,
    "jsonlines": jsonlines.FORMAT,
    "parquet": parquet.FORMAT,
    "image": image.FORMAT,
}


def named(formats: Iterable[FileFormat]) -> str:
    """The names of several formats for people: `CSV, Parquet or an image`."""
    *others, last = [name for one in formats for name in one.names]
    return f"{', '.join(others)} or {last}" if others else last
