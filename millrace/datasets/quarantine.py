"""Quarantined rows, as Parquet files that Athena reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from millrace.contract.reasons import Reason, RowsByReason
from millrace.contract.schema import Feed
from millrace.contract.violation import QuarantinedRow, RuleViolation

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
"""The Glue type of each column; the partitions are feed and date.

`run` is the drop's id: the name of its execution, where that had no other drop.
`reason`, `column_name`, `expected` and `got` are those of the first violation, so that a query can group by them
without UNNEST; `violations` holds all, the first included; `detail` is the sentence for people."""
PART_VIOLATIONS, PART_CHARACTERS = 16_384, 8 * 2**20
FIELDS = ("reason", "column_name", "expected", "got")
PARTS = ("drop", "unparsable", "refused", "undecodable")
"""The steps that quarantine rows, each in a file of its own."""


def schema() -> pa.Schema:
    """The Parquet schema of a quarantine file; times in UTC without a zone, as Athena reads them."""
    import pyarrow as pa

    kinds = {"string": pa.string(), "bigint": pa.int64(), "timestamp": pa.timestamp("us")}
    violations = pa.list_(pa.struct([(name, pa.string()) for name in FIELDS]))
    return pa.schema([(name, kinds.get(kind, violations)) for name, kind in COLUMNS.items()])


def object_key(workload: str, feed: Feed, *, as_of: datetime, drop_id: str, part: str) -> str:
    """The key in the lake: one per drop and step, so that a retry writes the same object again.

    `part` says which step refused the rows: `drop` and `unparsable` at ingestion (the latter come here at validation,
    unless the table holds the drop's bytes already), `refused` at validation,
    `undecodable` at delivery, of rows whose image the model's container could not decode."""
    day = as_of.astimezone(UTC).date().isoformat()
    return f"{workload}/quarantine/feed={feed}/date={day}/{drop_id}-{part}.parquet"


class QuarantineFile:
    """A file of quarantined rows, which counts those that were written."""

    def __init__(self, path: Path, *, drop_id: str, source: str, as_of: datetime) -> None:
        import pyarrow.parquet as pq

        self._counts = Counter[Reason]()
        self._drop_id, self._source = drop_id, source
        self._as_of = as_of.astimezone(UTC).replace(tzinfo=None)
        self._writer = pq.ParquetWriter(path, schema(), compression="zstd", write_page_checksum=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    @property
    def rows(self) -> int:
        return self._counts.total()

    @property
    def reasons(self) -> RowsByReason:
        return together(self._counts)

    def add(self, refused: Iterable[QuarantinedRow]) -> None:
        """Write these rows, a few thousand at a time: as dictionaries they take many times the memory."""
        import pyarrow as pa

        for part in _parts(refused):
            rows = [
                {
                    "line": row.line,
                    "key": row.key,
                    **_fields(row.violations[0]),
                    "violations": [_fields(violation) for violation in row.violations],
                    "detail": row.detail,
                    "raw": row.raw,
                    **self._origin(),
                }
                for row in part
            ]
            self._writer.write_table(pa.Table.from_pylist(rows, schema=schema()))
            self._counts.update(row.violations[0].reason for row in part)

    def _origin(self) -> dict[str, object]:
        return {"run": self._drop_id, "source": self._source, "quarantined_at": self._as_of}


def together(*found: RowsByReason) -> RowsByReason:
    """Their sums, the most frequent reason first."""
    total = Counter[Reason]()
    for one in found:
        total.update(one)
    return dict(total.most_common())


def _parts(refused: Iterable[QuarantinedRow]) -> Iterator[list[QuarantinedRow]]:
    """The rows in lists of `PART_VIOLATIONS` violations and `PART_CHARACTERS`, or of few more."""
    part: list[QuarantinedRow] = []
    violations = characters = 0
    for row in refused:
        part.append(row)
        violations, characters = violations + len(row.violations), characters + len(row.raw)
        if violations >= PART_VIOLATIONS or characters >= PART_CHARACTERS:
            yield part
            part, violations, characters = [], 0, 0
    if part:
        yield part


def _fields(violation: RuleViolation) -> dict[str, str | None]:
    return {
        "reason": violation.reason,
        "column_name": violation.column,
        "expected": violation.expected,
        "got": violation.got,
    }
