"""Pools of slots limit how many executions run at once: items `slots#<pool>`.

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

from datetime import datetime

from millrace.state.holding import Holding
from millrace.state.table import StateTable, Value
from millrace.timestamps import parse_utc

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
