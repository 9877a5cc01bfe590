"""Typed rows against the contract: every row is accepted, or quarantined with every reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.contract.deduplicate import Keys
from millrace.contract.schema import Table
from millrace.contract.validate import ValidationResult, Validator, refuse_all, wrong_row_count
from millrace.datasets.commits import NewRows, Source, with_source
from millrace.datasets.data_files import NewDataFile
from millrace.datasets.existing_keys import held_in_range_of
from millrace.datasets.quarantine import QuarantineFile
from millrace.datasets.tables import Lake

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.table import Table as IcebergTable

Accept = Callable[["pa.Table"], object]
Quarantine = Callable[[], AbstractContextManager[QuarantineFile]]
"""Opens the file of refused rows, anew each time; it is kept when the block ends."""


def screen(parsed: Path, table: Table, accept: Accept, refused: QuarantineFile, *, held: tuple[Keys, ...] = ()) -> int:
    """The number of rows that went to `accept`, a part at a time and in order; all the others went to `refused`.

    0 when there are too few or too many good rows: all are in `refused` then, and what went to `accept` is void."""
    rows, validator = 0, Validator(table, held=held)
    for part in parts(parsed, table):
        result = validator.judge(part)
        accept(result.accepted)
        refused.add(result.refused)
        rows += result.accepted.num_rows
    if violation := wrong_row_count(rows, table):
        again = Validator(table, held=held)
        for part in parts(parsed, table):
            accepted = again.judge(part).accepted
            refused.add(refuse_all(ValidationResult(accepted=accepted, refused=()), violation).refused)
        return 0
    return rows


def parts(parsed: Path, table: Table) -> Iterator[pa.Table]:
    """The rows a row group at a time: each is a part of the drop as ingestion read it, which bounds the memory.

    Texts that the file holds as a dictionary stay one; page checksums are verified."""
    import pyarrow.parquet as pq

    texts = {column.name for column in table.columns if column.kind == "string"}
    words = _with_dictionary(pq.read_metadata(parsed), texts)
    with pq.ParquetFile(parsed, page_checksum_verification=True, read_dictionary=words) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)


def _with_dictionary(metadata: pq.FileMetaData, texts: set[str]) -> list[str]:
    """The texts that take less than four bytes a row: without a dictionary their length alone takes four."""
    if not metadata.num_row_groups:
        return []
    first = metadata.row_group(0)
    chunks = [first.column(place) for place in range(first.num_columns)]
    return [
        chunk.path_in_schema
        for chunk in chunks
        if chunk.path_in_schema in texts and chunk.total_uncompressed_size < 4 * chunk.num_values
    ]


class NewToTable:
    """The accepted rows of a drop whose keys the table does not hold, as one data file of it.

    `write` is called again after another writer won; the rows are then judged anew only where the table has come to
    hold other keys in the range of the drop."""

    def __init__(self, lake: Lake, table: str, *, parsed: Path, source: Source, quarantine: Quarantine) -> None:
        self._lake, self._table, self._contract = lake, table, lake.contract_of(table)
        self._parsed, self._source, self._quarantine = parsed, source, quarantine
        self._held: tuple[Keys, ...] = ()
        self._written: NewRows | None = None

    def write(self, iceberg: IcebergTable) -> NewRows:
        """The data file and the number of quarantined rows; those are kept before this returns."""
        found = held_in_range_of(self._lake, self._table, iceberg, self._parsed)
        held = tuple(keys for keys in found if len(keys.values))
        if self._written is None or not _same(held, self._held):
            self._held = held
            self._written = self._screen(iceberg)
        return self._written

    def _screen(self, iceberg: IcebergTable) -> NewRows:
        file = NewDataFile(iceberg, self._parsed.with_name("rows"))
        with self._quarantine() as refused:
            rows = screen(
                self._parsed,
                self._contract,
                lambda part: file.add(with_source(part, self._source.key)),
                refused,
                held=self._held,
            )
        return NewRows(file=file.store() if rows else None, quarantined=refused.rows)


def _same(held: tuple[Keys, ...], before: tuple[Keys, ...]) -> bool:
    return len(held) == len(before) and all(
        one.values.equals(other.values) for one, other in zip(held, before, strict=True)
    )
