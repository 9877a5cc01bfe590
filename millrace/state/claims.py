"""Claims say which execution works on a drop, so that each drop is worked on once: items `drop#<id>` and
`group#<execution>`.

    drop#a1  = {"execution": {"S": "77fe"}, "delete_after": …}       the claim: execution 77fe has the drop a1
    drop#b2  = {"execution": {"S": "77fe"}, "delete_after": …}
    group#77fe = {"machine": {"S": "ingest"}, "pool": {"S": "ingest-labels"}, "input": {"S": "{…}"}, "delete_after": …}

S3 may send the event of a drop several times, and the intake may die at any point:

    1. take a slot                                  dies after it: the sweep frees the slot
    2. write all claims and the group at once       dies after it: the event comes again, and the intake starts 77fe
    3. start the execution 77fe                     dies after it: starting the same name again does nothing

A claim is never taken over. Whoever finds one can start its execution with the very same input. A claim is kept for 30
days, longer than the event of a drop can come again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from millrace.state.item import TEXT, Item
from millrace.state.table import StateTable, Value, delete_after

KEPT_FOR, GROUP_KEPT_FOR = timedelta(days=30), timedelta(days=31)
"""Longer than an event can come again: SQS keeps a message for 14 days, after a rule has tried for an hour to send it.

A group is kept for longer than its claims, so that a claim mostly finds its group. It may not: DynamoDB deletes each
item when it likes, some days after its time."""


@dataclass(frozen=True, kw_only=True)
class Start(Item, key="group#{name}"):
    """One execution to be started."""

    machine: Literal["ingest", "score"] = field(metadata={"form": TEXT})
    pool: str
    """The pool of slots (`millrace.state.holdings`) that it needs one of."""
    name: str
    """The id of its drop. If there are several drops, the SHA-256 of their ids."""
    input: str
    """The input of the execution, as JSON."""


@dataclass(frozen=True, kw_only=True)
class Claim(Item, key="drop#{drop}"):
    """The execution that works on a drop."""

    drop: str
    execution: str


class Claims:
    """The claims of one workload's drops."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def take(self, start: Start, drop_ids: Sequence[str], *, now: datetime) -> bool:
        """Claim all these drops for the execution, and store its input. Returns whether that was written.

        It is all or nothing: nothing is written if any drop is claimed already, even by the same execution.
        Raises ConflictError if another transaction writes one of the items at the same time."""
        claim = {"execution": start.name} | delete_after(now + KEPT_FOR)
        return self._table.put_new(_group(start, now) | {Claim.sort_key(each): claim for each in drop_ids})

    def take_apart(self, start: Start, *, of: str, now: datetime) -> None:
        """Claim one drop anew for an execution of its own, after the execution `of`, which had several drops, failed.

        The execution bears the id of the drop as its name. A second call changes nothing."""
        # The input first: as soon as the claim names the execution, whoever finds the claim must be able to start it.
        [(key, group)] = _group(start, now).items()
        self._table.put(key, group)
        taken = "SET execution = :own", "execution = :of"
        self._table.update(Claim.sort_key(start.name), *taken, own=start.name, of=of)

    def find(self, drop_id: str) -> Start | None:
        """The execution that has claimed the drop, with its input. None without a claim, or if its group is deleted."""
        name = self.execution_of(drop_id)
        return self.group(name) if name else None

    def execution_of(self, drop_id: str) -> str:
        """The name of the execution that has claimed the drop. Empty without a claim."""
        claim = Claim.find(self._table, drop_id)
        return claim.execution if claim else ""

    def group(self, run: str) -> Start | None:
        """The execution of this name, with its input. None if nothing was claimed for it, or its group is deleted."""
        return Start.find(self._table, run)


def _group(start: Start, now: datetime) -> dict[str, Mapping[str, Value]]:
    return {Start.sort_key(start.name): start.attributes | delete_after(now + GROUP_KEPT_FOR)}
