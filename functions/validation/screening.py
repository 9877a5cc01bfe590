"""A file of typed rows becomes a file of accepted ones; the others are quarantined with every reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.contract.arrow import parsed_schema
from millrace.contract.schema import Table
from millrace.contract.validate import Keys, Validator, Verdict, refuse_all, wrong_row_count
from millrace.datasets.quarantine import QuarantineFile

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def screen(parsed: Path, table: Table, accepted: Path, refused: QuarantineFile, *, held: tuple[Keys, ...]) -> int:
    """The number of rows written to `accepted`; all the others went to `refused`."""
    import pyarrow.parquet as pq

    rows, schema, validator = 0, parsed_schema(table), Validator(table, held=held)
    with pq.ParquetWriter(accepted, schema, compression="zstd", write_page_checksum=True) as writer:
        for part in parts(parsed, table):
            verdict = validator.judge(part)
            writer.write_table(verdict.accepted)
            refused.add(verdict.refused)
            rows += verdict.accepted.num_rows
    if detail := wrong_row_count(rows, table):
        return _refuse_file(accepted, table, refused, detail)
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


def _refuse_file(accepted: Path, table: Table, refused: QuarantineFile, detail: str) -> int:
    """No row: there were too few or too many, and that is known at the end only."""
    import pyarrow.parquet as pq

    for part in parts(accepted, table):
        refused.add(refuse_all(Verdict(accepted=part, refused=()), detail).refused)
    pq.write_table(parsed_schema(table).empty_table(), accepted)
    return 0
