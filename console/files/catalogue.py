"""The formats of files that hold rows. An image is a row by itself and has no entry here."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.console.files import csv, jsonlines, parquet
from millrace.console.files.table_file import TableFile
from millrace.files.catalogue import FORMATS, named

TABLE_FILES: Mapping[str, TableFile] = {
    "csv": csv.FORMAT,
    "jsonlines": jsonlines.FORMAT,
    "parquet": parquet.FORMAT,
}
"""By the names that `FORMATS` gives the formats."""
TABLES = named(FORMATS[key] for key in TABLE_FILES)
"""The formats in words: `CSV, TSV, JSON lines or Parquet`."""
