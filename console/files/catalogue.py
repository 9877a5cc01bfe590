"""The formats of files that hold rows; an image is one row of its own."""

from __future__ import annotations

from collections.abc import Mapping

from console.files import csv, jsonlines, parquet
from console.files.table_file import TableFile
from millrace.files.catalogue import FORMATS, named

TABLE_FILES: Mapping[str, TableFile] = {
    "csv": csv.FORMAT,
    "jsonlines": jsonlines.FORMAT,
    "parquet": parquet.FORMAT,
}
"""By the words of `FORMATS`."""
TABLES = named(FORMATS[key] for key in TABLE_FILES)
"""As people read them."""
