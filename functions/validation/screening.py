"""A file of typed rows becomes a file of accepted ones; the others are quarantined with every reason."""

from __future__ import annotations

from pathlib import Path

from millrace.contract.arrow import parsed_schema
from millrace.contract.model import Table
from millrace.contract.validation import Keys, Validator, Verdict, refuse_all, wrong_row_count
from millrace.quarantine import QuarantineFile

BATCH_ROWS = 262_144
"""What bounds the memory: rows of a hundred columns are 200 MB."""


def screen(parsed: Path, table: Table, accepted: Path, refused: QuarantineFile, *, held: tuple[Keys, ...]) -> int:
    """The number of rows written to `accepted`; all the others went to `refused`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, schema, validator = 0, parsed_schema(table), Validator(table, held=held)
    with (
        pq.ParquetFile(parsed, page_checksum_verification=True) as file,
        pq.ParquetWriter(accepted, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            verdict = validator.judge(pa.Table.from_batches([batch], schema=schema))
            writer.write_table(verdict.accepted)
            refused.add(verdict.refused)
            rows += verdict.accepted.num_rows
    if detail := wrong_row_count(rows, table):
        return _refuse_file(accepted, table, refused, detail)
    return rows


def _refuse_file(accepted: Path, table: Table, refused: QuarantineFile, detail: str) -> int:
    """No row: there were too few or too many, and that is known at the end only."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = parsed_schema(table)
    with pq.ParquetFile(accepted) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            good = Verdict(accepted=pa.Table.from_batches([batch], schema=schema), refused=())
            refused.add(refuse_all(good, detail).refused)
    pq.write_table(schema.empty_table(), accepted)
    return 0
