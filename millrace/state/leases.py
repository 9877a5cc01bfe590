"""The right to do one thing at a time: items `lease#<name>` (holder, as_of, expires_at, missing_since)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millrace.state.holding import Holding
from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc

PREFIX = "lease#"


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Who holds it, and until when."""

    holder: str
    """ARN of an execution; of `first` that of a registered version; `sweep <id>` or `cleanup <id>` while one of these
    tidies up after a release."""
    as_of: datetime
    expires_at: datetime


class Leases:
    """The workload's leases by name: `train`, `release`, `retrain`; `first` has the first version that is registered,
    until its release has `release`. Time is always an argument."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def take(self, name: str, *, holder: str, as_of: datetime, expires_at: datetime) -> bool:
        """Whether `holder` has the lease now: it was free, expired at `as_of`, or the holder's already."""
        # Times are compared as text, which is right since `format_utc` has one format. One write decides: of two that
        # find the lease expired the second sees the first one's.
        return self._table.put(
            f"{PREFIX}{name}",
            {"holder": {"S": holder}, "as_of": {"S": format_utc(as_of)}, "expires_at": {"S": format_utc(expires_at)}},
            "attribute_not_exists(pk) OR holder = :holder OR expires_at <= :now",
            {":holder": {"S": holder}, ":now": {"S": format_utc(as_of)}},
        )

    def find(self, name: str) -> Lease | None:
        """The lease, expired or not; None when free."""
        item = self._table.get(f"{PREFIX}{name}")
        if not item:
            return None
        return Lease(
            holder=item["holder"]["S"],
            as_of=parse_utc(item["as_of"]["S"]),
            expires_at=parse_utc(item["expires_at"]["S"]),
        )

    def free(self, holder: str) -> list[str]:
        """Release all leases of `holder`; the keys of those that it still had."""
        # The condition again at each delete: between the reading and it an expired lease may have another holder.
        held = [f"{PREFIX}{name}" for name, item in self._table.items(PREFIX).items() if item["holder"]["S"] == holder]
        return [key for key in held if self._table.delete(key, "holder = :holder", {":holder": {"S": holder}})]

    def holdings(self) -> list[Holding]:
        """Every lease that is held, expired or not."""
        return [
            Holding(
                key=f"{PREFIX}{name}",
                holder=item["holder"]["S"],
                missing_since=parse_utc(item["missing_since"]["S"]) if "missing_since" in item else None,
            )
            for name, item in self._table.items(PREFIX).items()
        ]

    def mark_missing(self, holding: Holding, *, as_of: datetime) -> bool:
        """As `Holdings`; the first mark stays. `take` writes the whole item, and so removes it."""
        return self._table.update(
            holding.key,
            "SET missing_since = :as_of",
            {":as_of": {"S": format_utc(as_of)}, ":holder": {"S": holding.holder}},
            condition="holder = :holder AND attribute_not_exists(missing_since)",
        )

    def free_missing(self, holding: Holding) -> bool:
        """As `Holdings`."""
        if holding.missing_since is None:
            return False
        marked = {":holder": {"S": holding.holder}, ":mark": {"S": format_utc(holding.missing_since)}}
        return self._table.delete(holding.key, "holder = :holder AND missing_since = :mark", marked)
