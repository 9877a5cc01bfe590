"""Which format a drop is in, told by its bytes: a name can lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from millrace.contract.schema import Table
from millrace.errors import DropError
from millrace.files.parsed import Limits, Parsed

PARQUET = b"PAR1"
HEAD_BYTES = 65_536
NOT_TEXT = {
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip file",
    b"\x28\xb5\x2f\xfd": "a zstandard file",
    b"%PDF": "a PDF",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
}


def read_drop(path: Path, table: Table, limits: Limits | None = None) -> Iterator[Parsed]:
    """The drop in parts, in its order; every row of it is in exactly one part, typed or raw.

    Raises DropError, also after parts were given, when the object cannot become rows at all: `empty`,
    `truncated`, `corrupt`, `foreign`, `encoding`, `columns`, `column_type` or `too_large`. What was given
    before must then be thrown away: the drop is quarantined whole."""
    from millrace.files import csv, jsonlines, parquet

    limits = limits or Limits()
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise DropError("too_large", f"expected {limits.file_bytes} bytes at most, came {size}")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.strip():
        raise DropError("empty", f"expected rows, came {size} bytes without any")
    parts = {"parquet": parquet.read, "jsonlines": jsonlines.read, "csv": csv.read}[format_of(head)]
    rows = 0
    for part in parts(path, table, limits):
        rows += part.rows.num_rows + len(part.unparsable)
        if rows > limits.rows:
            raise DropError("too_large", f"expected {limits.rows} rows at most, came more")
        yield part
    if not rows:
        raise DropError("empty", "expected rows, came a header only")


def format_of(head: bytes) -> str:
    """`parquet`, `jsonlines` or `csv`; raises DropError `foreign` or `encoding` for what is none of them."""
    if head.startswith(PARQUET):
        return "parquet"
    for magic, what in NOT_TEXT.items():
        if head.startswith(magic):
            raise DropError("foreign", f"expected Parquet, CSV or JSON lines, came {what}")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DropError("encoding", "expected UTF-8, came UTF-16")
    if b"\0" in head.partition(b"\n")[0]:
        raise DropError("foreign", f"expected Parquet, CSV or JSON lines, came binary data {head[:8]!r}")
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first == b"[":
        raise DropError("foreign", "expected one JSON object per line, came a JSON list")
    return "jsonlines" if first == b"{" else "csv"
