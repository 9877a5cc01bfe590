"""A slot or a lease with its holder, as the sweep looks at it.

An execution that was never started does not end, so `cleanup` does not free what it holds. The sweep does, but only if
it misses the execution twice: a slot is taken before its execution is started, so the first time may be too early.

    07:00  no execution of the holder is found            mark_missing: the item keeps the mark 07:00
    08:00  none is found again, and the mark is 07:00     free_missing: the slot is free

If the holder takes its slot again in between, `take` removes the mark, and the sweep of 08:00 marks the holding anew.

A lease lets one holder at a time do a thing, such as a training: items `lease#<name>`.

    lease#train = {"holder": {"S": "arn:…:execution:…-train:7f"}, "as_of": {"S": "1997-06-01T06:00:00Z"},
                   "expires_at": {"S": "1997-06-02T14:30:00Z"}, "missing_since": {"S": "1997-06-01T09:00:00Z"}}

    06:00  A takes `train` until 14:30 of the next day    True
    07:00  B takes `train`                                False: A has it
    07:00  A takes `train` again, until 15:00             True, with a later end
    09:00  the execution of A has ended                   `cleanup` frees all leases of A

If the event of its end is lost, the sweep finds that A has ended and calls `cleanup`. In any case the lease ends when
it expires. `missing_since` is the sweep's mark (`millrace.state.holdings`).

Pools of slots limit how many executions run at once: items `slots#<pool>`.

The attribute `holders` is a set of ARNs. A mark of the sweep is one more attribute, whose name is the holder's ARN:

    slots#ingest-labels = {"holders": {"SS": ["arn:…:9f2c", "arn:…:c4c1"]}, "arn:…:c4c1": {"S": "1997-06-01T07:00:00Z"}}

A pool is of one feed, so that a burst of one feed holds up no other. Groups of small drops that come into a table have
a smaller pool of their own: while its groups are committed, the next one gathers.

    intake   take     before it starts the execution
    cleanup  free     when the execution has ended
    sweep    mark_missing, free_missing: if the execution was never started, or if its end was not reported;
             the intake does the same if drops wait for long
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from millrace.state.item import NEW, Item
from millrace.state.table import StateTable, Value
from millrace.timestamps import parse_utc


@dataclass(frozen=True, kw_only=True)
class Holding:
    """One slot or lease that is held."""

    key: str
    """The sort key of the item: `slots#ingest-labels`, `lease#release`."""
    holder: str
    """The ARN of an execution. Of a lease it may be another text (`millrace.state.holdings.Lease`)."""
    missing_since: datetime | None = None
    """When a sweep first found no execution of the holder. None if no sweep has missed it since the holder took it."""


class Holdings(Protocol):
    """The methods of `Slots` and `Leases` that the sweep calls."""

    def holdings(self) -> list[Holding]:
        """Everything that is held."""

    def mark_missing(self, holding: Holding, *, as_of: datetime) -> bool:
        """Note in the item that the holder has no execution. A mark that is there already keeps its time.

        Returns whether a mark was written: False if there is one, or if the holder holds nothing any more."""

    def free_missing(self, holding: Holding) -> bool:
        """Free a marked holding. Returns whether it was freed.

        False if it has no mark, or if the holder has freed it or taken it again since the mark was read."""


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


PREFIX = "slots#"
TOGETHER = "-together"
"""How the name of a pool for groups of small drops ends."""


def pool_of(machine: str, feed: str, *, is_together: bool = False) -> str:
    """The name of the pool: `ingest-labels`, `ingest-labels-together`, `score-scoring`."""
    # Only executions of `ingest` commit to a table, and so only they are in each other's way.
    return f"{machine}-{feed}{TOGETHER if is_together and machine == 'ingest' else ''}"


class Slots:
    """The slots of the workload; a holder is the ARN of an execution."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def take(self, pool: str, *, holder: str, limit: int) -> bool:
        """Whether `holder` has one of the pool's `limit` slots now. To take a slot twice is to take it once."""
        # DynamoDB keeps no empty set: without a holder the attribute `holders` does not exist.
        # The holder is about to start its execution, so the same write removes an older mark of the sweep.
        has_room = "attribute_not_exists(holders) OR size(holders) < :limit OR contains(holders, :name)"
        return self._table.update(
            f"{PREFIX}{pool}",
            "ADD holders :holder REMOVE #mark",
            has_room,
            {"#mark": holder},
            holder=[holder],
            limit=limit,
            name=holder,
        )

    def free(self, holder: str, *, likely: str = "") -> list[str]:
        """Free the holder's slot. Returns the key of its pool, or [] if the holder had no slot.

        It is looked for in the pool `likely` first, which saves a call where it is there."""
        key = f"{PREFIX}{likely}"
        if likely and self._remove(key, holder, "contains(holders, :name)"):
            return [key]
        held = [one.key for one in self.holdings() if one.holder == holder]
        return [key for key in held if self._remove(key, holder, "contains(holders, :name)")]

    def holdings(self) -> list[Holding]:
        """Every slot that is taken, in the order of the pools' names."""
        return [
            Holding(
                key=f"{PREFIX}{pool}",
                holder=holder,
                missing_since=parse_utc(item[holder]["S"]) if holder in item else None,
            )
            for pool, item in self._table.items(PREFIX).items()
            for holder in sorted(item.get("holders", {"SS": []})["SS"])
        ]

    def mark_missing(self, holding: Holding, *, as_of: datetime) -> bool:
        """See `Holdings.mark_missing`."""
        unmarked = "contains(holders, :name) AND attribute_not_exists(#mark)"
        mark, holder = {"#mark": holding.holder}, holding.holder
        return self._table.update(holding.key, "SET #mark = :as_of", unmarked, mark, as_of=as_of, name=holder)

    def free_missing(self, holding: Holding) -> bool:
        """See `Holdings.free_missing`."""
        if holding.missing_since is None:
            return False
        # The mark must still be the one that was read: it is not if the holder has taken its slot again.
        condition = "contains(holders, :name) AND #mark = :mark"
        return self._remove(holding.key, holding.holder, condition, mark=holding.missing_since)

    def _remove(self, key: str, holder: str, condition: str, **values: Value) -> bool:
        expression, mark = "DELETE holders :holder REMOVE #mark", {"#mark": holder}
        return self._table.update(key, expression, condition, mark, holder=[holder], name=holder, **values)
