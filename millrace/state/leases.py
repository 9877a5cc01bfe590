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
from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc

PREFIX = "lease#"


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Who holds a lease, and until when."""

    holder: str
    """The ARN of an execution. The lease `first` has the ARN of a registered version.

    `sweep <id>` or `cleanup <id>`: this function holds the lease `release` while it deletes what a release left."""
    as_of: datetime
    """When the holder took it last."""
    expires_at: datetime
    """From this time on another holder may take it."""


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
        return self._table.put(
            f"{PREFIX}{name}",
            {"holder": {"S": holder}, "as_of": {"S": format_utc(as_of)}, "expires_at": {"S": format_utc(expires_at)}},
            "attribute_not_exists(pk) OR holder = :holder OR expires_at <= :now",
            {":holder": {"S": holder}, ":now": {"S": format_utc(as_of)}},
        )

    def find(self, name: str) -> Lease | None:
        """The lease, even if it has expired. None if it is free."""
        item = self._table.get(f"{PREFIX}{name}")
        if not item:
            return None
        return Lease(
            holder=item["holder"]["S"],
            as_of=parse_utc(item["as_of"]["S"]),
            expires_at=parse_utc(item["expires_at"]["S"]),
        )

    def free(self, holder: str) -> list[str]:
        """Free all leases of `holder`. Returns the keys of the leases that it still had."""
        # Each delete checks the holder again: another one may have taken an expired lease since the items were read.
        held = [f"{PREFIX}{name}" for name, item in self._table.items(PREFIX).items() if item["holder"]["S"] == holder]
        return [key for key in held if self._table.delete(key, "holder = :holder", {":holder": {"S": holder}})]

    def holdings(self) -> list[Holding]:
        """Every lease that is held, even if it has expired."""
        return [
            Holding(
                key=f"{PREFIX}{name}",
                holder=item["holder"]["S"],
                missing_since=parse_utc(item["missing_since"]["S"]) if "missing_since" in item else None,
            )
            for name, item in self._table.items(PREFIX).items()
        ]

    def mark_missing(self, holding: Holding, *, as_of: datetime) -> bool:
        """See `Holdings.mark_missing`. `take` writes the whole item, so it removes the mark."""
        return self._table.update(
            holding.key,
            "SET missing_since = :as_of",
            {":as_of": {"S": format_utc(as_of)}, ":holder": {"S": holding.holder}},
            condition="holder = :holder AND attribute_not_exists(missing_since)",
        )

    def free_missing(self, holding: Holding) -> bool:
        """See `Holdings.free_missing`."""
        if holding.missing_since is None:
            return False
        marked = {":holder": {"S": holding.holder}, ":mark": {"S": format_utc(holding.missing_since)}}
        return self._table.delete(holding.key, "holder = :holder AND missing_since = :mark", marked)
