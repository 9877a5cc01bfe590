"""Which execution works on a drop: items `drop#<id>` (execution) and `group#<execution>` (machine, input).

A drop is of one execution for 30 days, longer than its events can come again. Whoever finds a claim can start that
execution, with the very same input: the claims of a group and its input are written together, before the execution is
started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from millrace.state.table import DELETE_AFTER, Attribute, StateTable

DROP, GROUP = "drop#", "group#"
KEPT_FOR, GROUP_KEPT_FOR = timedelta(days=30), timedelta(days=31)
"""Longer than SQS keeps a message, and than a rule tries to deliver its event: 14 days and an hour. The group longer
than its claims, though DynamoDB deletes each item when it likes, some days after its time."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """One execution to be started."""

    machine: Literal["ingest", "score"]
    name: str
    """The drop's id; of several drops the SHA-256 of their ids."""
    input: str
    """JSON."""


class Claims:
    """The claims of one workload's drops."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def take(self, start: Start, drop_ids: Sequence[str], *, now: datetime) -> bool:
        """Whether the execution has all these drops; nothing is written where another one, or it, had one before."""
        group = _item(now + GROUP_KEPT_FOR, machine=start.machine, input=start.input)
        claims = {f"{DROP}{each}": _item(now + KEPT_FOR, execution=start.name) for each in drop_ids}
        return self._table.put_new({f"{GROUP}{start.name}": group, **claims})

    def take_apart(self, start: Start, *, of: str, now: datetime) -> None:
        """The execution has the drop that it is named by, which the execution `of` had with others; twice is once."""
        # Its input first: whoever finds the claim can start the execution.
        group = _item(now + GROUP_KEPT_FOR, machine=start.machine, input=start.input)
        self._table.put(f"{GROUP}{start.name}", group)
        self._table.update(
            f"{DROP}{start.name}",
            "SET execution = :own",
            {":own": {"S": start.name}, ":of": {"S": of}},
            condition="execution = :of",
        )

    def find(self, drop_id: str) -> Start | None:
        """The execution that has the drop, with its input; None where none has, or had and ended long ago."""
        name = self.execution_of(drop_id)
        return self.group(name) if name else None

    def execution_of(self, drop_id: str) -> str:
        """The name of the execution that has the drop; empty where none has."""
        claim = self._table.get(f"{DROP}{drop_id}")
        name: str = claim["execution"]["S"] if claim else ""
        return name

    def group(self, run: str) -> Start | None:
        """The execution that was claimed by this name; None where none was, or its claims are being deleted."""
        group = self._table.get(f"{GROUP}{run}")
        if not group:
            return None
        machine = cast("Literal['ingest', 'score']", group["machine"]["S"])
        return Start(machine=machine, name=run, input=group["input"]["S"])


def _item(until: datetime, **fields: str) -> dict[str, Attribute]:
    texts: dict[str, Attribute] = {name: {"S": text} for name, text in fields.items()}
    return {**texts, DELETE_AFTER: {"N": str(int(until.timestamp()))}}
