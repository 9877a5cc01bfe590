"""How many executions of a machine may run at once: items `slots#<machine>` (holders)."""

from __future__ import annotations

from millrace.state.table import Attribute, StateTable


class Slots:
    """The slots of the workload's machines; a holder is the ARN of an execution."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def take(self, machine: str, *, holder: str, limit: int) -> bool:
        """Whether `holder` has one of the machine's `limit` slots; taken twice, it is one."""
        # DynamoDB keeps no empty set: before the first holder, and after the last one has left, there is no attribute.
        has_room = "attribute_not_exists(holders) OR size(holders) < :limit OR contains(holders, :name)"
        values: dict[str, Attribute] = {
            ":holder": {"SS": [holder]},
            ":limit": {"N": str(limit)},
            ":name": {"S": holder},
        }
        return self._table.update(f"slots#{machine}", "ADD holders :holder", values, condition=has_room)

    def free(self, machine: str, holder: str) -> list[str]:
        """Release the holder's slot; the key of the slots, [] where it had none."""
        key, had_one = f"slots#{machine}", "contains(holders, :name)"
        values: dict[str, Attribute] = {":holder": {"SS": [holder]}, ":name": {"S": holder}}
        return [key] if self._table.update(key, "DELETE holders :holder", values, condition=had_one) else []
