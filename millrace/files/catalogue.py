"""The formats of dropped files, and their packings, by the names that the code uses for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from millrace.files import csv, gzipped, image, jsonlines, parquet, zipped
from millrace.files.file_format import FileFormat, Packing

FORMATS: Mapping[str, FileFormat] = {
    "csv": csv.FORMAT,
    "jsonlines": jsonlines.FORMAT,
    "parquet": parquet.FORMAT,
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
