"""The staged rows of a run, and those whose key came into the table after their validation."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from millrace.contract.arrow import parsed_schema
from millrace.contract.schema import Table
from millrace.contract.validate import Refused
from millrace.datasets.quarantine import QuarantineFile, object_key
from millrace.messages.envelope import StepInput
from millrace.messages.ingest import IngestState, Staged

if TYPE_CHECKING:
    import pyarrow as pa


def accepted_rows(s3: Any, bucket: str, call: StepInput[IngestState], *, workload: str, table: Table) -> pa.Table:
    """The rows that the validation accepted; none for a duplicate, for which nothing was staged."""
    import pyarrow.parquet as pq

    if call.state.validated.duplicate:
        return parsed_schema(table).empty_table()
    with TemporaryDirectory() as folder:
        path = Path(folder, "accepted")
        s3.download_file(bucket, Staged(workload=workload, run=call.run).accepted, str(path))
        return pq.read_table(path, page_checksum_verification=True)


def keep_late(
    s3: Any, bucket: str, call: StepInput[IngestState], refused: tuple[Refused, ...], *, workload: str
) -> None:
    """Quarantine these rows: one object per run, so that a further attempt writes it anew."""
    if not refused:
        return
    drop, as_of = call.state.detail, call.state.as_of
    with TemporaryDirectory() as folder:
        path = Path(folder, "late")
        with QuarantineFile(path, run=call.run, source=drop.uri, as_of=as_of) as file:
            file.add(refused)
        s3.upload_file(str(path), bucket, object_key(workload, drop.feed, as_of=as_of, run=call.run, part="late"))
