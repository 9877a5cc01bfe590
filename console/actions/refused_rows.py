"""Write the refused rows of a dropped file as they were in that file, to be corrected and dropped again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from millrace.aws.objects import split_uri
from millrace.console.files.catalogue import TABLE_FILES, TABLES
from millrace.console.queries.drops import Row
from millrace.contract.schema import Contract, Feed
from millrace.errors import DropError, RunError
from millrace.files.catalogue import FORMATS, format_in, named, unpacked
from millrace.files.parsed import Limits


def write_refused_rows(s3: Any, contract: Contract, refused: Iterable[Row], path: Path) -> int:
    """Write the refused rows to the file at `path`; returns how many rows it has.

    The records come out of the dropped object, unpacked, in its order. A line of column names comes first if the
    object has one.
    If several versions of an object had refused rows, the version counts whose rows were refused last. `s3` is boto3's
    client.
    Raises RunError if the rows are of no file or of several, if the file was refused whole, and if it cannot be read by
    the contract as it is now."""
    rows = list(refused)
    # In order of time, so the source that was refused last replaces the earlier ones of its key.
    last = {row.drop: row.source for row in sorted(rows, key=lambda row: row.quarantined_at)}
    rows = [row for row in rows if row.source == last[row.drop]]
    if len(last) != 1:
        came = ", ".join(sorted(last)[:3]) or "none"
        raise RunError(f"--rows: expected refused rows of one dropped file, which --drop names, got {came}")
    # A file that was refused whole is one row of the quarantine without a line.
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
            with unpacked(dropped, Limits()) as plain:
                form = format_in(plain, table)
                if form not in TABLE_FILES:
                    raise RunError(f"--rows: expected a drop of {TABLES}, got {named([FORMATS[form]])}")
                TABLE_FILES[form].write_rows(plain, table, wanted, path)
        except DropError as error:
            raise RunError(f"{key}: expected a file that the contract takes now, got {error}") from None
    return len(wanted)
