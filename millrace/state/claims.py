"""Which execution works on a drop: items `drop#<id>` (execution) and `group#<execution>` (machine, input).

A drop is of one execution for ever. Whoever finds a claim can start that execution, with the very same input: the
claims of a group and its input are written together, before the execution is started."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, cast

from millrace.messages.ingest import Start
from millrace.state.table import DELETE_AFTER, Attribute, StateTable

DROP, GROUP = "drop#", "group#"
KEPT_FOR = timedelta(days=30)
"""Longer than SQS keeps a message, and than EventBridge repeats an event: 14 days and one."""


class Claims:
    """The claims of one workload's drops."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def take(self, start: Start, drop_ids: Sequence[str], *, now: datetime) -> bool:
        """Whether the execution has all these drops; nothing is written where another one, or it, had one before."""
        until = now + KEPT_FOR
        group = _item(until, machine=start.machine, input=start.input)
        claims = {f"{DROP}{each}": _item(until, execution=start.name) for each in drop_ids}
        return self._table.put_new({f"{GROUP}{start.name}": group, **claims})

    def find(self, drop_id: str) -> Start | None:
        """The execution that has the drop; None where none has."""
        claim = self._table.get(f"{DROP}{drop_id}")
        if not claim:
            return None
        name = claim["execution"]["S"]
        group = self._table.get(f"{GROUP}{name}")
        machine = cast("Literal['ingest', 'score']", group["machine"]["S"])
        return Start(machine=machine, name=name, input=group["input"]["S"])


def _item(until: datetime, **fields: str) -> dict[str, Attribute]:
    texts: dict[str, Attribute] = {name: {"S": text} for name, text in fields.items()}
    return {**texts, DELETE_AFTER: {"N": str(int(until.timestamp()))}}
