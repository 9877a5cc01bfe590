"""Writes quarantined rows as Parquet files, which Athena reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.contract.reasons import Reason, RowsByReason
from millrace.contract.schema import FEEDS, Feed
from millrace.contract.violation import QuarantinedRow, RuleViolation
from millrace.packing import packed

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = {
    "run": "string",
    "source": "string",
    "line": "bigint",
    "key": "string",
    "reason": "string",
    "column_name": "string",
    "expected": "string",
    "got": "string",
    "violations": "array<struct<reason:string,column_name:string,expected:string,got:string>>",
    "detail": "string",
    "raw": "string",
    "quarantined_at": "timestamp",
}
"""The Glue type of each column. The partitions are feed and date.

`run` is the drop's id, which is also the name of its execution if that had no other drop. `reason`, `column_name`,
`expected` and `got` are the fields of the first violation, so that a query can group by them without UNNEST.
`violations` has all violations, also the first. `detail` is the sentence for people."""
PART_VIOLATIONS, PART_CHARACTERS = 16_384, 8 * 2**20
"""The most violations of a part that is written at once, and the most characters of its raw rows."""
FIELDS = ("reason", "column_name", "expected", "got")
REFUSED = tuple(f"quarantine/feed={feed}" for feed in FEEDS)
"""Folders of the lake for refused rows."""
PARTS = ("drop", "unparsable", "refused", "undecodable", "rewritten")
"""The steps that quarantine rows, each in a file of its own."""


def schema() -> pa.Schema:
    """The Parquet schema of a quarantine file. Times are in UTC without a zone, as Athena reads them."""
    import pyarrow as pa

    kinds = {"string": pa.string(), "bigint": pa.int64(), "timestamp": pa.timestamp("us")}
    violations = pa.list_(pa.struct([(name, pa.string()) for name in FIELDS]))
    return pa.schema([(name, kinds.get(kind, violations)) for name, kind in COLUMNS.items()])


def object_key(workload: str, feed: Feed, *, as_of: datetime, drop_id: str, part: str) -> str:
    """The key of a quarantine file in the lake, for example `<workload>/quarantine/feed=training/date=2025-04-07/…`.

    There is one key for each drop and step, so a retry writes the same object again. `part` is one of PARTS and says
    which step refused the rows:

    - `drop`: ingestion, the whole drop
    - `unparsable`: ingestion; validation puts the file here, unless the table has the drop's bytes already
    - `refused`: validation
    - `undecodable`: delivery, rows that the model's container did not take
    - `rewritten`: upkeep, rows of the table that do not fit a contract that has changed"""
    day = as_of.astimezone(UTC).date().isoformat()
    return f"{workload}/quarantine/feed={feed}/date={day}/{drop_id}-{part}.parquet"


class QuarantineFile(AbstractContextManager["QuarantineFile"]):
    """A file of quarantined rows. It counts the rows that were written, by reason."""

    def __init__(self, path: Path, *, drop_id: str, source: str, as_of: datetime) -> None:
        import pyarrow.parquet as pq

        self._counts = Counter[Reason]()
        self._origin = {"run": drop_id, "source": source, "quarantined_at": as_of.astimezone(UTC).replace(tzinfo=None)}
        self._writer = pq.ParquetWriter(path, schema(), compression="zstd", write_page_checksum=True)

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    @property
    def rows(self) -> int:
        return self._counts.total()

    @property
    def reasons(self) -> RowsByReason:
        return together(self._counts)

    def add(self, refused: Iterable[QuarantinedRow], source: str = "") -> None:
        """Write these rows, a part at a time: as Python's dictionaries, rows take many times the memory.

        `source` is the URI of the object that they came from, if it is not the file's."""
        import pyarrow as pa

        violations = (lambda row: len(row.violations), PART_VIOLATIONS)
        for part in packed(refused, violations, (lambda row: len(row.raw), PART_CHARACTERS)):
            rows = [
                {
                    "line": row.line,
                    "key": row.key,
                    **_fields(row.violations[0]),
                    "violations": [_fields(violation) for violation in row.violations],
                    "detail": row.detail,
                    "raw": row.raw,
                    **self._origin,
                    **({"source": source} if source else {}),
                }
                for row in part
            ]
            self._writer.write_table(pa.Table.from_pylist(rows, schema=schema()))
            # A row counts once, by its first reason.
            self._counts.update(row.violations[0].reason for row in part)


def together(*found: RowsByReason) -> RowsByReason:
    """The sums by reason, the most frequent reason first."""
    total = Counter[Reason]()
    for one in found:
        total.update(one)
    return dict(total.most_common())


def _fields(violation: RuleViolation) -> dict[str, str | None]:
    return dict(zip(FIELDS, (violation.reason, violation.column, violation.expected, violation.got), strict=True))
