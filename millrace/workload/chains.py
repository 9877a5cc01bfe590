"""Checks at synth that decisions can be rows of the workloads that they go to (`consumers`, `to: workload`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from millrace.consumers.catalogue import hearing, of_stage
from millrace.consumers.next_workload import NextWorkload, places
from millrace.contract.load import load_contract
from millrace.contract.reasons import Reason
from millrace.contract.row import check_row
from millrace.contract.schema import Table
from millrace.errors import WorkloadError
from millrace.features.known_ahead import requiring_known
from millrace.spelling import one_of
from millrace.tasks import catalogue as tasks
from millrace.workload.declaration import Workload

CELLS: Mapping[str, Any] = {
    **dict.fromkeys(("integer", "int32", "int64"), 1),
    **dict.fromkeys(("number", "share", "float32", "float64"), 0.5),
    **dict.fromkeys(("text", "string"), "a"),
    "boolean": True,
    "date": "2026-11-20",
    "timestamp": "2026-11-20T07:30:00",
    "timestamp_utc": "2026-11-20T07:30:00Z",
}
"""A cell of each kind of an answer's fields and of columns: whether a column takes such cells at all."""
OF_ALL_ROWS = (Reason.UNKNOWN_FIELD, Reason.REQUIRED, Reason.TYPE)
"""Why no such row can be read. The other rules judge the cells that come."""


def check_chains(stage: str, loaded: Sequence[tuple[Path, Workload]]) -> None:
    """Raise WorkloadError for a decision that cannot be a row where it goes, or that would come back."""
    contracts = {folder.name: load_contract(folder) for folder, _ in loaded}
    tables = {name: requiring_known(contract.table("scoring")) for name, contract in contracts.items()}
    passing = [
        (workload, name, consumer)
        for _, workload in loaded
        for name, consumer in of_stage(workload.consumers, stage).items()
        if isinstance(consumer, NextWorkload)
    ]
    nexts = {name: [one.workload for workload, _, one in passing if workload.name == name] for name in tables}
    for workload, name, consumer in passing:
        fields = tasks.declare(workload.prediction, contracts[workload.name].label).answer
        answer = {one.name: CELLS[one.kind] for one in fields if not one.length}
        row = {one.name: CELLS[one.kind] for one in tables[workload.name].columns if one.kind in CELLS}
        # What a model alone knows is empty in a person's answer.
        peoples = {one: cell if one == "value" else None for one, cell in answer.items()}
        is_heard = name in hearing(workload.consumers, stage, workload.policy)
        said = (answer, peoples) if is_heard else (answer,)
        known = [places({"id": "a", "answer": one, "row": row}) for one in said]
        for field, expected, came in (
            *_ways(workload.name, consumer, nexts),
            *_misfits(consumer, known, tables.get(consumer.workload)),
        ):
            field = f"consumers.{name}.{field}"
            raise WorkloadError(where=f"workloads/{workload.name}", field=field, expected=expected, came=came)


def _ways(name: str, consumer: NextWorkload, nexts: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str, str]]:
    """Why a decision of the workload with this name cannot go to the consumer."""
    target = consumer.workload
    if target not in nexts:
        yield "workload", f"{one_of(target, sorted(nexts))}, which are deployed with it", target
    if nexts[name].count(target) > 1:
        yield "workload", "one consumer to one workload, where a decision has one id", str(nexts[name].count(target))
    if "review" in consumer.actions and {"answered", "unanswered"} & {*consumer.actions}:
        expected = "review, or answered and unanswered, where a decision has one id"
        yield "actions", expected, ", ".join(consumer.actions)
    if circle := _circle(target, nexts, (name,)):
        yield "workload", "a workload whose decisions do not come back", " -> ".join(circle)


def _circle(name: str, nexts: Mapping[str, Sequence[str]], path: tuple[str, ...]) -> tuple[str, ...]:
    """The way from the first workload of the path back to one of it; empty if there is none."""
    path = (*path, name)
    if name in path[:-1]:
        return path
    return next(filter(None, (_circle(one, nexts, path) for one in nexts.get(name, ()))), ())


def _misfits(
    consumer: NextWorkload, known: Sequence[Mapping[str, Any]], table: Table | None
) -> Iterator[tuple[str, str, str]]:
    """Each of `known` has an example for each place: those of a model, and those of a person."""
    for name, place in consumer.row.items():
        if isinstance(place, str) and place not in known[0]:
            yield f"row.{name}", one_of(place, sorted(known[0])), place
    for number, row in enumerate(map(consumer.cells, known)):
        of = ", also of a person, who gives a value alone" if number else ""
        for one in check_row(row, table) if table else ():
            is_due = one.column in row or (table and not table.column(str(one.column)).is_filled)
            if one.reason in OF_ALL_ROWS and is_due:
                yield f"row.{one.column}", one.expected + of, str(consumer.row.get(str(one.column), "nothing"))
