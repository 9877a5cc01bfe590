"""Mend refused rows: they are written to a file, and the mended file is dropped as a repair of their drop."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from millrace.console.environment import Environment
from millrace.console.files.catalogue import TABLE_FILES, TABLES, first_lines
from millrace.console.queries.drops import Row, find_rows
from millrace.console.queries.repairs import find_repairs
from millrace.console.queries.stored import as_file, find_object
from millrace.contract.schema import LINE, Contract, Feed
from millrace.errors import DropError, RunError
from millrace.files.catalogue import FORMATS, format_in, named, unpacked
from millrace.files.parsed import Limits
from millrace.names import WorkloadNames


def rows_of_one_drop(option: str, refused: Iterable[Row]) -> list[Row]:
    """The refused rows of one dropped file, of the version whose rows were refused last. Raises RunError for others."""
    # A row of a table that was rewritten has no line of a file.
    rows = [row for row in refused if row.line or not row.raw]
    # In order of time, so the source that was refused last replaces the earlier ones of its key.
    last = {row.drop: row.source for row in sorted(rows, key=lambda row: row.quarantined_at)}
    if len(last) != 1:
        came = ", ".join(sorted(last)[:3]) or "none"
        raise RunError(f"{option}: expected the key of one drop with refused rows, or the end of it, got {came}")
    return [row for row in rows if row.source == last[row.drop]]


def write_refused_rows(s3: Any, contract: Contract, refused: Iterable[Row], path: Path) -> int:
    """Write the refused rows that nothing has repaired to the file at `path`; returns how many rows it has.

    The records come out of the dropped object, unpacked, in its order, with their lines but for rows to score. A line
    of column names comes first if the object has one.
    If several versions of an object had refused rows, the version counts whose rows were refused last. `s3` is boto3's
    client, `contract` for files that mend rows.
    Raises RunError if the rows are of no file or of several, if the file was refused whole or is gone, and if it cannot
    be read by the contract as it is now."""
    rows = rows_of_one_drop("--rows", (row for row in refused if not row.repaired))
    # A file that was refused whole is one row of the quarantine without a line.
    if whole := [row for row in rows if row.line is None]:
        raise RunError(f"{whole[0].drop}: expected refused rows, got a file that was refused whole: {whole[0].detail}")
    if (content := find_object(s3, rows[0].source)) is None:
        raise RunError(f"{rows[0].source}: expected the dropped file, got none: its time is up, or a person was erased")
    table, wanted = contract.table(cast("Feed", rows[0].feed)), {cast("int", row.line) for row in rows}
    with as_file(content, "dropped") as dropped:
        try:
            with unpacked(dropped, Limits()) as plain:
                form = format_in(plain, table)
                if form not in TABLE_FILES:
                    raise RunError(f"--rows: expected a drop of {TABLES}, got {named([FORMATS[form]])}")
                TABLE_FILES[form].write_rows(plain, table, wanted, path, rows[0].feed != "scoring")
        except DropError as error:
            raise RunError(f"{rows[0].drop}: expected a file that the contract takes now, got {error}") from None
    return len(wanted)


def repaired_drop(
    environment: Environment, names: WorkloadNames, contract: Contract, drop: str, feed: Feed, file: Path, key: str
) -> str:
    """The id of the drop whose refused rows the file mends, which is dropped under the landing key.

    `drop` is its key, the end of it, or a repair of it; `contract` is for files that mend rows. Raises RunError if the
    file mends none of its refused rows, or one that a file of another name has brought."""
    rows = rows_of_one_drop("--repairs", find_rows(environment, names, drop=drop))
    repairs = find_repairs(environment, names, contract)
    first = repairs.firsts.get(rows[0].run, rows[0].run)
    refused = {row.line: row for row in find_rows(environment, names, runs={first})}
    if feed == "scoring" or any(row.feed != feed or row.drop == key for row in refused.values()):
        expected = "rows of the feed training or labels that are dropped there again, under another name"
        raise RunError(f"--repairs: expected {expected}, got {rows[0].drop} and {key}")
    lines = first_lines(file, table := contract.table(feed))
    if not lines and not table.csv.columns:
        raise RunError(f"{file.name}: expected {LINE}, as `millrace quarantine --rows` has written it, got none")
    for own, line in lines.items():
        if line not in refused:
            raise RunError(f"{file.name}, line {own}: expected {LINE} of a refused row of {drop}, got {line}")
        by, there = repairs.mended.get((first, line), (key, own))
        if by != key:
            raise RunError(f"{file.name}, line {own}: expected a row that waits, {by}:{there} has repaired it")
    return first
