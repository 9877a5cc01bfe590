"""The messages about a drop that is larger than a function can take: a job of Spark judges it, `jobs/bulk`.

    ingestion   IngestState → Ingested `bulk`: the plan is written, the job gets its URI as its one argument
    Bulk        BulkPlan → BulkResult, both beside each other in staging; data files that no snapshot names yet
    ingestion   called again by the machine, finds the result: Ingested `parsed` or `rejected`, as of any drop
    validation  commits the data files; TableMovedError if the table has got other keys since: back to ingestion,
                which plans anew

The job reads the version of the object and the table's files, writes below `staging` and `data`, and nothing else."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from millrace.contract.reasons import Reason, RowsByReason
from millrace.messages.envelope import Message, Moment

RANGE_BYTES, FILE_BYTES = 64 * 2**20, 256 * 2**20
"""The bytes of a drop that a task reads, and about the bytes of a data file."""
RESULT = "result.json"
Bounds = tuple[int | str, int | str]
"""The lowest and the highest value of a column, as Iceberg compares them: a time in ISO 8601."""


class BulkPlan(Message):
    """What the job is to do: all that it knows.

    {"drop_id": "5d7c39d7b8804f07", "source": "s3://…/month.csv?versionId=…", "size": 107374182400, …}"""

    drop_id: str
    as_of: Moment
    source: str
    """The URI of the object with its version, as rows in quarantine name it."""
    key: str
    """The object's key in the landing bucket."""
    size: int
    """The object's bytes."""
    replaceable: str
    """The landing key whose rows these rows replace, so that its keys do not count as known; empty for none."""
    contract: str
    """The contract's document, in JSON."""
    read_by_models: tuple[str, ...]
    event_time: str
    horizon_hours: float
    metadata_location: str
    """The metadata of the table with the snapshot that the rows are judged against."""
    staging: str
    """The prefix of the job's own files: `s3://…-lake-…/electricity/staging/<drop id>/`."""
    range_bytes: int = RANGE_BYTES
    file_bytes: int = FILE_BYTES

    @property
    def result(self) -> str:
        """The URI of the job's result."""
        return self.staging + RESULT


class BulkFile(Message):
    """A data file that no snapshot names yet: these fields of its entry in a manifest.

    Source: https://iceberg.apache.org/spec/#manifests"""

    model_config = ConfigDict(from_attributes=True, ser_json_bytes="base64", val_json_bytes="base64")

    file_path: str
    file_size_in_bytes: int
    record_count: int
    column_sizes: dict[int, int]
    value_counts: dict[int, int]
    null_value_counts: dict[int, int]
    nan_value_counts: dict[int, int]
    lower_bounds: dict[int, bytes]
    upper_bounds: dict[int, bytes]
    split_offsets: list[int]


class BulkRefusal(Message):
    """Why the drop cannot become rows at all, as `RejectedDrop` has it."""

    model_config = ConfigDict(from_attributes=True)

    reason: Reason
    expected: str
    got: str


class BulkResult(Message):
    """What became of the drop's rows, if the table is as it was.

    {"snapshot_id": 4821940093718391, "digest": "9f86…", "rows": 812345678, "reasons": {"columns": 3}, …}"""

    snapshot_id: int
    """The snapshot that the rows are judged against; 0 for a table without one."""
    digest: str
    """SHA-256 of the object's bytes."""
    refusal: BulkRefusal | None = None
    rows: int = 0
    """Rows that could be parsed."""
    reasons: RowsByReason = Field(default_factory=dict)
    """How many of the others have which reason."""
    quarantined: RowsByReason = Field(default_factory=dict)
    """How many of the parsed rows are refused, by reason."""
    files: tuple[BulkFile, ...] = ()
    bounds: tuple[Bounds | None, ...] = ()
    """For each key of the contract the bounds of its first column; None if they cannot be compared."""
