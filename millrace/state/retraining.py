"""The last accepted retraining: item `retraining`.

The guard writes it under the lease `retrain`:

    retraining = {"last_run": {"S": "arn:…:execution:…-retrain:c4c1"}, "last_started_at": {"S": "1997-05-15T00:02:00Z"},
                  "labels_total": {"N": "5712"}, "counted_month": {"S": "1997-05"}, "runs_this_month": {"N": "1"}}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from millrace.state.item import Item
from millrace.state.table import StateTable
from millrace.timestamps import month


@dataclass(frozen=True, kw_only=True)
class LastRetraining(Item, key="retraining"):
    """The last accepted retraining, as far as the guard must know it. Empty before the first one."""

    execution_arn: str | None = field(default=None, metadata={"attribute": "last_run"})
    started_at: datetime | None = field(default=None, metadata={"attribute": "last_started_at"})
    """The latest `as_of` of an accepted retraining."""
    labels_total: int = 0
    """Rows in the table `labels` when it started."""
    counted_month: str = ""
    """The latest month (yyyy-mm, UTC) of an accepted retraining."""
    runs_in_month: int = field(default=0, metadata={"attribute": "runs_this_month"})
    """Accepted retrainings in `counted_month`."""

    def runs_in(self, wanted: str) -> int:
        """Accepted retrainings in the month `wanted` (yyyy-mm); 0 for a month after the last one that is counted.

        An execution that is redriven may be of an earlier month. It counts in the last one, in which it trains."""
        return self.runs_in_month if wanted <= self.counted_month else 0

    def after(self, *, execution_arn: str, as_of: datetime, labels_total: int) -> LastRetraining:
        """What is known when the next one is accepted."""
        # Neither month nor cool-down go back with a redriven execution, else a month would be counted from 0 again.
        started_at = max(as_of, self.started_at or as_of)
        return LastRetraining(
            execution_arn=execution_arn,
            started_at=started_at,
            labels_total=labels_total,
            counted_month=month(started_at),
            runs_in_month=self.runs_in(month(as_of)) + 1,
        )

    @classmethod
    def read(cls, table: StateTable) -> LastRetraining:
        """As it is stored."""
        return cls.find(table) or cls()

    @classmethod
    def record(cls, table: StateTable, execution_arn: str, as_of: datetime, labels_total: int) -> None:
        """Store an accepted retraining and count it once. Only the holder of the lease `retrain` may call this."""
        # This reads and then writes without a condition. That is safe: the lease lets only one execution come here, and
        # a retry of the same execution finds itself stored already.
        before = cls.read(table)
        if before.execution_arn != execution_arn:
            before.after(execution_arn=execution_arn, as_of=as_of, labels_total=labels_total).put(table)
