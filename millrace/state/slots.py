"""The slots of each machine limit how many of its executions run at once: items `slots#<machine>`.

The attribute `holders` is a set of ARNs. A mark of the sweep is one more attribute, whose name is the holder's ARN:

    slots#ingest = {"holders": {"SS": ["arn:…:9f2c", "arn:…:c4c1"]}, "arn:…:c4c1": {"S": "1997-06-01T07:00:00Z"}}

    intake   take     before it starts the execution
    cleanup  free     when the execution has ended
    sweep    mark_missing, free_missing: if the execution was never started, or if its end was not reported
"""

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
        """Whether `holder` has one of the machine's `limit` slots now. To take a slot twice is to take it once."""
        # DynamoDB keeps no empty set: without a holder the attribute `holders` does not exist.
        # The holder is about to start its execution, so the same write removes an older mark of the sweep.
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
        """Free the holder's slot. Returns the key of the item, or [] if the holder had no slot."""
        key = f"{PREFIX}{machine}"
        return [key] if self._remove(key, holder, "contains(holders, :name)", {}) else []

    def holdings(self) -> list[Holding]:
        """Every slot that is taken, in the order of the machines' names."""
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
        """See `Holdings.mark_missing`."""
        return self._table.update(
            holding.key,
            "SET #mark = :as_of",
            {":as_of": {"S": format_utc(as_of)}, ":name": {"S": holding.holder}},
            condition="contains(holders, :name) AND attribute_not_exists(#mark)",
            attributes={"#mark": holding.holder},
        )

    def free_missing(self, holding: Holding) -> bool:
        """See `Holdings.free_missing`."""
        if holding.missing_since is None:
            return False
        # The mark must still be the one that was read: it is not if the holder has taken its slot again.
        condition = "contains(holders, :name) AND #mark = :mark"
        return self._remove(holding.key, holding.holder, condition, {":mark": {"S": format_utc(holding.missing_since)}})

    def _remove(self, key: str, holder: str, condition: str, values: dict[str, Attribute]) -> bool:
        both: dict[str, Attribute] = {":holder": {"SS": [holder]}, ":name": {"S": holder}, **values}
        expression = "DELETE holders :holder REMOVE #mark"
        return self._table.update(key, expression, both, condition=condition, attributes={"#mark": holder})
