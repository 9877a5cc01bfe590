"""A drop on disk becomes a file of typed rows and a file of what could not be parsed."""

from __future__ import annotations

from pathlib import Path

from millrace.contract.arrow import parsed_schema
from millrace.contract.schema import Table
from millrace.contract.validate import Refused
from millrace.datasets.quarantine import QuarantineFile
from millrace.errors import DropError
from millrace.files.parsed import Limits
from millrace.files.sniff import read_drop


def parse(drop: Path, table: Table, parsed: Path, refused: QuarantineFile, *, limits: Limits) -> int:
    """The number of typed rows, written to `parsed`; the others went to `refused`, a part at a time.

    Raises DropError as `read_drop`; both files are worthless then."""
    import pyarrow.parquet as pq

    rows = 0
    schema = parsed_schema(table)
    with pq.ParquetWriter(parsed, schema, compression="zstd", write_page_checksum=True) as writer:
        for part in read_drop(drop, table, limits):
            writer.write_table(part.rows)
            refused.add(part.unparsable)
            rows += part.rows.num_rows
    return rows


def whole(error: DropError) -> Refused:
    """The one quarantined record of an object that cannot become rows; its bytes stay in the landing bucket."""
    return Refused(line=None, reason=error.reason, detail=str(error), raw="")
