"""How many executions of a machine may run at once: items `slots#<machine>` (holders, and an attribute per mark).

A mark is an attribute of the holder's name: since when the sweep has found no execution of it."""

from __future__ import annotations

from datetime import datetime

from millrace.state.holding import Holding
from millrace.state.table import Attribute, StateTable
from millrace.timestamps import format_utc, parse_utc

PREFIX = "slots#"


class Slots:
    """The slots of the workload's machines; a holder is the ARN of an execution."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def take(self, machine: str, *, holder: str, limit: int) -> bool:
        """Whether `holder` has one of the machine's `limit` slots; taken twice, it is one."""
        # DynamoDB keeps no empty set: before the first holder, and after the last one has left, there is no attribute.
        # Who takes its slot again is about to start its execution: a mark of before is gone in the same write.
        has_room = "attribute_not_exists(holders) OR size(holders) < :limit OR contains(holders, :name)"
        values: dict[str, Attribute] = {
            ":holder": {"SS": [holder]},
            ":limit": {"N": str(limit)},
            ":name": {"S": holder},
        }
        return self._table.update(
            f"{PREFIX}{machine}",
            "ADD holders :holder REMOVE #mark",
            values,
            condition=has_room,
            attributes={"#mark": holder},
        )

    def free(self, machine: str, holder: str) -> list[str]:
        """Release the holder's slot; the key of the slots, [] where it had none."""
        key = f"{PREFIX}{machine}"
        return [key] if self._remove(key, holder, "contains(holders, :name)", {}) else []

    def holdings(self) -> list[Holding]:
        """Every slot that is taken, by machine."""
        return [
            Holding(
                key=f"{PREFIX}{machine}",
                holder=holder,
                missing_since=parse_utc(item[holder]["S"]) if holder in item else None,
            )
            for machine, item in self._table.items(PREFIX).items()
            for holder in sorted(item.get("holders", {"SS": []})["SS"])
        ]

    def mark_missing(self, holding: Holding, *, as_of: datetime) -> bool:
        """As `Holdings`; the first mark stays."""
        return self._table.update(
            holding.key,
            "SET #mark = :as_of",
            {":as_of": {"S": format_utc(as_of)}, ":name": {"S": holding.holder}},
            condition="contains(holders, :name) AND attribute_not_exists(#mark)",
            attributes={"#mark": holding.holder},
        )

    def free_missing(self, holding: Holding) -> bool:
        """As `Holdings`."""
        if holding.missing_since is None:
            return False
        condition = "contains(holders, :name) AND #mark = :mark"
        return self._remove(holding.key, holding.holder, condition, {":mark": {"S": format_utc(holding.missing_since)}})

    def _remove(self, key: str, holder: str, condition: str, values: dict[str, Attribute]) -> bool:
        both: dict[str, Attribute] = {":holder": {"SS": [holder]}, ":name": {"S": holder}, **values}
        expression = "DELETE holders :holder REMOVE #mark"
        return self._table.update(key, expression, both, condition=condition, attributes={"#mark": holder})
