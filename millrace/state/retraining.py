"""The last accepted retraining: item `retraining`.

The guard writes it under the lease `retrain`:

    retraining = {"last_run": {"S": "arn:…:execution:…-retrain:c4c1"}, "last_started_at": {"S": "1997-05-15T00:02:00Z"},
                  "labels_total": {"N": "5712"}, "counted_month": {"S": "1997-05"}, "runs_this_month": {"N": "1"}}
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millrace.state.table import StateTable
from millrace.timestamps import format_utc, month, parse_utc

KEY = "retraining"


@dataclass(frozen=True, kw_only=True)
class LastRetraining:
    """The last accepted retraining, as far as the guard must know it. Empty before the first one."""

    execution_arn: str | None = None
    """The ARN of the `retrain` execution."""
    started_at: datetime | None = None
    """The latest `as_of` of an accepted retraining."""
    labels_total: int = 0
    """Rows in the table `labels` when it started."""
    counted_month: str = ""
    """The latest month (yyyy-mm, UTC) of an accepted retraining."""
    runs_in_month: int = 0
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


class Retrainings:
    """The workload's accepted retrainings. Only the last one is stored."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def last(self) -> LastRetraining:
        """The last accepted retraining. Its fields are empty before the first one."""
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
        """Store an accepted retraining and count it once. Only the holder of the lease `retrain` may call this."""
        # This reads and then writes without a condition. That is safe: the lease lets only one execution come here, and
        # a retry of the same execution finds itself stored already.
        before = self.last()
        if before.execution_arn == execution_arn:
            return
        now = before.after(execution_arn=execution_arn, as_of=as_of, labels_total=labels_total)
        self._table.put(
            KEY,
            {
                "last_run": {"S": execution_arn},
                "last_started_at": {"S": format_utc(now.started_at or as_of)},
                "labels_total": {"N": str(labels_total)},
                "counted_month": {"S": now.counted_month},
                "runs_this_month": {"N": str(now.runs_in_month)},
            },
        )
