"""The refused rows of a dropped file as that file had them, to be mended and dropped again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from millrace.aws.objects import split_uri
from millrace.contract.schema import LINE, Contract, Feed, Table
from millrace.errors import DropError, RunError
from millrace.files.lines import BOM
from millrace.files.pages import check_footer
from millrace.files.parquet import unit_of_int96
from millrace.files.sniff import format_in, read_drop

if TYPE_CHECKING:
    from console.queries.quarantine import Row


def write_refused_rows(s3: Any, contract: Contract, refused: Iterable[Row], path: Path) -> int:
    """How many rows the file at `path` holds now: the records of the dropped object, in its order, behind its line of
    names where it has one. `s3` is boto3's client.

    Of several versions of an object the one counts whose rows were refused last. Raises RunError for rows of no file or
    of several, and for a file that was refused as a whole or cannot be read by the contract as it is now."""
    rows = list(refused)
    last = {row.drop: row.source for row in sorted(rows, key=lambda row: row.quarantined_at)}
    rows = [row for row in rows if row.source == last[row.drop]]
    if len(last) != 1:
        came = ", ".join(sorted(last)[:3]) or "none"
        raise RunError(f"--rows: expected refused rows of one dropped file, which --drop names, got {came}")
    if whole := [row for row in rows if row.line is None]:
        came = whole[0].detail
        raise RunError(f"{whole[0].drop}: expected a file with refused rows, got one that was refused whole: {came}")
    place, _, version = rows[0].source.rpartition("?versionId=")
    bucket, key = split_uri(place)
    table, wanted = contract.table(cast("Feed", rows[0].feed)), {cast("int", row.line) for row in rows}
    with TemporaryDirectory() as temporary:
        (dropped := Path(temporary) / "dropped").write_bytes(
            s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()
        )
        try:
            return _write(dropped, table, wanted, path)
        except DropError as error:
            raise RunError(f"{key}: expected a file that the contract takes now, got {error}") from None


def _write(dropped: Path, table: Table, wanted: Collection[int], path: Path) -> int:
    form = format_in(dropped, table)
    if form == "parquet":
        return _write_rows(dropped, table, wanted, path)
    if form == "image":
        raise RunError("--rows: expected a drop of CSV, JSON lines or Parquet, got an image")
    data = dropped.read_bytes()
    mark = BOM if data.startswith(BOM) else b""
    lines = data.removeprefix(mark).split(b"\n")
    begun = _begun(dropped, table) if form == "csv" else list(range(1, len(lines) + 1))
    ends = dict(zip(begun, [*begun[1:], len(lines) + 1], strict=True))
    if other := sorted(set(wanted) - ends.keys()):
        expected = "records where they were when the file was dropped"
        raise RunError(f"--rows: expected {expected}, by the contract as it is now none begins in line {other[0]}")
    records = [b"\n".join(lines[line - 1 : ends[line] - 1]) for line in sorted(wanted)]
    # Blank lines before the names stay with them.
    head = lines[: begun[0] - 1] if form == "csv" and begun and not table.csv.columns else []
    texts = [text.rstrip(b"\n") + b"\n" for text in [*head, *records]]
    path.write_bytes(mark + b"".join(texts))
    if form == "csv":
        _check_apart(path, table, texts, sorted(wanted))
    return len(records)


def _check_apart(path: Path, table: Table, texts: Sequence[bytes], wanted: Sequence[int]) -> None:
    """Raise RunError, without the file, where a stray quote would make one row of two that now stand beside each
    other."""
    begun = [1 + lines for lines in accumulate((text.count(b"\n") for text in texts), initial=0)][:-1]
    came = set(_begun(path, table))
    if joined := [line for line, begins in zip(wanted[::-1], begun[::-1], strict=False) if begins not in came]:
        path.unlink()
        raise RunError(
            "--rows: expected rows that can stand beside each other, got a quote that takes in line "
            f"{joined[-1]} of the dropped file: mend them by hand, as `millrace quarantine` shows them"
        )


def _begun(dropped: Path, table: Table) -> list[int]:
    """The lines at which a CSV file's records begin. Only the reader knows: a quote may be one, or part of a cell."""
    found: set[int] = set()
    for part in read_drop(dropped, table):
        found |= {*part.rows[LINE].to_pylist(), *(row.line for row in part.unparsable if row.line is not None)}
    return sorted(found)


def _write_rows(dropped: Path, table: Table, wanted: Collection[int], path: Path) -> int:
    """The columns that the contract reads; those that it ignores say nothing, and Arrow may not take rows of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_footer(dropped)
    metadata = pq.read_metadata(dropped)
    read = [name for name in metadata.schema.to_arrow_schema().names if table.name_of.get(name)]
    unit = unit_of_int96(dropped, metadata, read)
    rows = pq.ParquetFile(dropped, coerce_int96_timestamp_unit=unit).read(columns=read)
    for place, field in enumerate(rows.schema):
        if pa.types.is_string_view(field.type):  # Arrow takes no rows of these
            rows = rows.set_column(place, field.name, rows[field.name].cast(pa.large_string()))
        elif pa.types.is_binary_view(field.type):
            rows = rows.set_column(place, field.name, rows[field.name].cast(pa.large_binary()))
    kept = rows.take(pa.array([line - 1 for line in sorted(wanted)], pa.int64()))
    pq.write_table(kept, path, write_page_checksum=True)
    return int(kept.num_rows)
