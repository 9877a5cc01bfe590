"""The refused rows of a dropped file as that file had them, to be mended and dropped again."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from console.new.pieces import line_of_names, records
from millrace.aws.objects import split_uri
from millrace.contract.schema import Contract, Feed
from millrace.errors import RunError
from millrace.files.lines import BOM
from millrace.files.sniff import HEAD_BYTES, format_of

if TYPE_CHECKING:
    from console.queries.quarantine import Row


def write_refused_rows(s3: Any, contract: Contract, refused: Iterable[Row], path: Path) -> int:
    """How many rows the file at `path` holds now: the records of the dropped object, in its order, behind its line of
    names where it has one. `s3` is boto3's client.

    Raises RunError for rows of no file or of several, and for a file that was refused as a whole."""
    lines: dict[str, set[int]] = {}
    for row in refused:
        if row.line is None:
            raise RunError(
                f"{row.drop}: expected a file with refused rows, got one that was refused whole: {row.detail}"
            )
        lines.setdefault(row.source, set()).add(row.line)
        feed = cast("Feed", row.feed)
    if len(lines) != 1:
        came = ", ".join(sorted(lines)[:3]) or "none"
        raise RunError(f"--rows: expected refused rows of one dropped file, which --drop names, got {came}")
    [(source, wanted)] = lines.items()
    place, _, version = source.rpartition("?versionId=")
    bucket, key = split_uri(place)
    data = s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()
    form = format_of(data[:HEAD_BYTES])
    if form == "parquet":
        return _rows(data, wanted, path)
    if form not in ("csv", "jsonlines"):
        raise RunError(f"{key}: expected CSV, JSON lines or Parquet, got an image: drop another one")
    table = contract.table(feed) if form == "csv" else None
    mark = BOM if data.startswith(BOM) else b""
    several = list(records(data.removeprefix(mark), table))
    head = line_of_names(several, table)
    line, kept = 1, []
    for record in several:
        if line in wanted:
            kept.append(record if record.endswith(b"\n") else record + b"\n")
        line += max(1, record.count(b"\n"))
    path.write_bytes(mark + b"".join(several[:head]) + b"".join(kept))
    return len(kept)


def _rows(data: bytes, wanted: Collection[int], path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pq.read_table(io.BytesIO(data))
    kept = rows.take(pa.array([line - 1 for line in sorted(wanted)], pa.int64()))
    pq.write_table(kept, path, write_page_checksum=True)
    return int(kept.num_rows)
