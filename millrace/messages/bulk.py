"""The messages about a drop that is larger than a function can take: a job of Spark judges it, `jobs/bulk`.

    ingestion   IngestState → Ingested `bulk`: the plan is written, the job gets its URI as its one argument
    Bulk        BulkPlan → BulkResult, both beside each other in staging; data files that no snapshot names yet
    ingestion   called again by the machine, finds the result: Ingested `parsed` or `rejected`, as of any drop
    validation  commits the data files; TableMovedError if the table has got other keys since: back to ingestion,
                which plans anew, MOST_ROUNDS times; then the drop is refused whole, as `busy`

    upkeep      CompactionPlan → CompactionResult: the same job joins the small data files of a large table at night;
                the next call of upkeep commits what still holds

The job reads the version of the object and the table's files, writes below `staging` and `data`, and nothing else."""

from __future__ import annotations

from pydantic import Field

from millrace.contract.reasons import RowsByReason
from millrace.contract.violation import RuleViolation
from millrace.messages.envelope import Message, Moment

RESULT, COMPACTION = "result.json", "compaction.json"
"""The names of a result beside its plan, and of the plan of a compaction."""
MOST_ROUNDS = 3
"""How often a drop is judged again since its table has got keys of it meanwhile."""
Bounds = tuple[int | str, int | str]
"""The lowest and the highest value of a column, as Iceberg compares them: a time in ISO 8601."""


class CompactionPlan(Message):
    """What the job of a night is to do: write the small data files of the rows as few larger ones.

    {"metadata_location": "s3://…/00041-….metadata.json", "staging": "s3://…/electricity/staging/upkeep-7f/"}"""

    metadata_location: str
    staging: str
    """The prefix of the result, as in a BulkPlan; its last part names the new data files too."""


class CompactionResult(Message):
    """What a night's job has written."""

    files: dict[str, tuple[str, ...]]
    """By the URI of a data file that no snapshot names yet those of the files whose rows it has."""


class BulkPlan(Message):
    """What the job is to do: all that it knows.

    {"drop_id": "5d7c39d7b8804f07", "source": "s3://…/month.csv?versionId=…", "size": 107374182400, …}"""

    drop_id: str
    as_of: Moment
    source: str
    """The URI of the object with its version, as rows in quarantine name it."""
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
    round: int = 0
    """How often a job has judged the drop before: each time its table has got keys of it since."""
    range_bytes: int
    """About the bytes of a piece: a task reads it, and its good rows are a data file."""

    @property
    def result(self) -> str:
        """The URI of the job's result."""
        return self.staging + RESULT


class BulkResult(Message):
    """What became of the drop's rows, if the table is as it was.

    {"snapshot_id": 4821940093718391, "digest": "9f86…", "rows": 812345678, "reasons": {"columns": 3}, …}"""

    snapshot_id: int
    """The snapshot that the rows are judged against; 0 for a table without one."""
    round: int = 0
    """As in the plan."""
    digest: str
    """SHA-256 of the object's bytes; empty if it has been deleted meanwhile."""
    refusal: RuleViolation | None = None
    """Why the drop cannot become rows at all."""
    rows: int = 0
    """Rows that could be parsed."""
    reasons: RowsByReason = Field(default_factory=dict)
    """How many of the others have which reason."""
    quarantined: RowsByReason = Field(default_factory=dict)
    """How many of the parsed rows are refused, by reason."""
    files: tuple[str, ...] = ()
    """The URIs of the data files."""
    bounds: tuple[Bounds | None, ...] = ()
    """For each key of the contract the bounds of its first column; None if they cannot be compared."""
    totals: dict[str, float] = Field(default_factory=dict)
    """As `millrace.contract.drop_rules.Totals`, by which a drop as a whole is judged."""
