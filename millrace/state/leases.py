"""A lease lets one holder at a time do a thing, such as a training: items `lease#<name>`.

    lease#train = {"holder": {"S": "arn:…:execution:…-train:7f"}, "as_of": {"S": "1997-06-01T06:00:00Z"},
                   "expires_at": {"S": "1997-06-02T14:30:00Z"}, "missing_since": {"S": "1997-06-01T09:00:00Z"}}

    06:00  A takes `train` until 14:30 of the next day    True
    07:00  B takes `train`                                False: A has it
    07:00  A takes `train` again, until 15:00             True, with a later end
    09:00  the execution of A has ended                   `cleanup` frees all leases of A

If the event of its end is lost, the sweep finds that A has ended and calls `cleanup`. In any case the lease ends when
it expires. `missing_since` is the sweep's mark (`millrace.state.holding`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millrace.state.holding import Holding
from millrace.state.item import NEW, Item
from millrace.state.table import StateTable


@dataclass(frozen=True, kw_only=True)
class Lease(Item, key="lease#{name}", only_if=f"{NEW} OR holder = :holder OR expires_at <= :as_of"):
    """Who holds a lease, and until when."""

    name: str
    holder: str
    """The ARN of an execution. The lease `first` has the ARN of a registered version.

    `sweep <id>` or `cleanup <id>`: this function holds the lease `release` while it deletes what a release left."""
    as_of: datetime
    """When the holder took it last."""
    expires_at: datetime
    """From this time on another holder may take it."""
    missing_since: datetime | None = None
    """The mark of the sweep."""


class Leases:
    """The workload's leases. Time is always an argument, never the wall clock.

    `train`, `release` and `retrain`: one execution of the machine works at a time.
    `first`: the first version is registered, and its release has not taken the lease `release` yet."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def take(self, name: str, *, holder: str, as_of: datetime, expires_at: datetime) -> bool:
        """Whether `holder` has the lease now, until `expires_at`.

        It gets the lease if the lease is free, has expired at `as_of`, or is the holder's already."""
        # One conditional write decides. Of two that find the lease expired, the second finds the item of the first.
        # DynamoDB compares the times as text, which is right since `format_utc` writes one format only.
        return Lease(name=name, holder=holder, as_of=as_of, expires_at=expires_at).put(self._table)

    def find(self, name: str) -> Lease | None:
        """The lease, even if it has expired. None if it is free."""
        return Lease.find(self._table, name)

    def free(self, holder: str) -> list[str]:
        """Free all leases of `holder`. Returns the keys of the leases that it still had."""
        # Each delete checks the holder again: another one may have taken an expired lease since the items were read.
        held = [one.key for one in self.holdings() if one.holder == holder]
        return [key for key in held if self._table.delete(key, "holder = :holder", holder=holder)]

    def holdings(self) -> list[Holding]:
        """Every lease that is held, even if it has expired."""
        return [
            Holding(key=Lease.sort_key(name), holder=lease.holder, missing_since=lease.missing_since)
            for name, lease in Lease.every(self._table).items()
        ]

    def mark_missing(self, holding: Holding, *, as_of: datetime) -> bool:
        """See `Holdings.mark_missing`. `take` writes the whole item, so it removes the mark."""
        unmarked = "holder = :holder AND attribute_not_exists(missing_since)"
        return self._table.update(
            holding.key, "SET missing_since = :as_of", unmarked, as_of=as_of, holder=holding.holder
        )

    def free_missing(self, holding: Holding) -> bool:
        """See `Holdings.free_missing`."""
        if holding.missing_since is None:
            return False
        mark = holding.missing_since
        is_marked = "holder = :holder AND missing_since = :mark"
        return self._table.delete(holding.key, is_marked, holder=holding.holder, mark=mark)
