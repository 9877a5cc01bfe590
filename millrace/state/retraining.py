"""The last retraining: item `retraining` (last_run, last_started_at, labels_total, counted_month, runs_this_month)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millrace.state.table import StateTable
from millrace.timestamps import format_utc, month, parse_utc

KEY = "retraining"


@dataclass(frozen=True, kw_only=True)
class LastRetraining:
    """What the guard has to know of the retraining before."""

    execution_arn: str | None = None
    """Of the `retrain` that started it."""
    started_at: datetime | None = None
    labels_total: int = 0
    """Labels in the table when it started."""
    counted_month: str = ""
    runs_in_month: int = 0

    def runs_in(self, wanted: str) -> int:
        """Accepted retrainings in the month `wanted` (yyyy-mm); only the last month is remembered."""
        return self.runs_in_month if wanted == self.counted_month else 0


class Retrainings:
    """The workload's accepted retrainings, of which the last one is kept."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def last(self) -> LastRetraining:
        """Its fields are empty before the first one."""
        item = self._table.get(KEY)
        if not item:
            return LastRetraining()
        return LastRetraining(
            execution_arn=item["last_run"]["S"],
            started_at=parse_utc(item["last_started_at"]["S"]),
            labels_total=int(item["labels_total"]["N"]),
            counted_month=item["counted_month"]["S"],
            runs_in_month=int(item["runs_this_month"]["N"]),
        )

    def record(self, *, execution_arn: str, as_of: datetime, labels_total: int) -> None:
        """Count an accepted retraining once; only the holder of the lease `retrain` may call it."""
        # Read, then written without a condition: the lease lets only one execution come here, and its retry finds its
        # run.
        before = self.last()
        if before.execution_arn == execution_arn:
            return
        self._table.put(
            KEY,
            {
                "last_run": {"S": execution_arn},
                "last_started_at": {"S": format_utc(as_of)},
                "labels_total": {"N": str(labels_total)},
                "counted_month": {"S": month(as_of)},
                "runs_this_month": {"N": str(before.runs_in(month(as_of)) + 1)},
            },
        )
