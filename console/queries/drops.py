"""The objects that were dropped, and how many of their rows the contract accepted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from console.queries.answers import answer, committed_of, source_of
from console.queries.executions import Execution
from console.queries.quarantine import ReasonCount
from millrace.messages.ingest import Ingested
from millrace.messages.score import Delivered


@dataclass(frozen=True, kw_only=True)
class Drop:
    """One dropped object: rows = accepted + quarantined."""

    name: str
    """`training/1996-05.parquet`."""
    feed: str
    accepted: int
    quarantined: int
    reasons: tuple[ReasonCount, ...]
    rejected: str
    """Why the whole object could not be read, then both counts are 0 or 1; empty otherwise."""
    snapshot: str
    """The table snapshot that it became; empty for a scoring drop."""


def find_drops(runs: Iterable[Execution], quarantined: Mapping[str, tuple[ReasonCount, ...]]) -> tuple[Drop, ...]:
    """By start; drops of one feed that were processed at the same time are in the order of their names.

    `runs` are executions of `ingest` and `score`; `quarantined` is by the execution's name."""
    beside: list[list[Execution]] = []
    for run in sorted((run for run in runs if source_of(run)), key=lambda run: run.started):
        last = beside[-1] if beside else []
        if last and _feed(last[0]) == _feed(run) and run.started <= max(each.stopped for each in last):
            last.append(run)
        else:
            beside.append([run])
    ordered = [run for group in beside for run in sorted(group, key=source_of)]
    return tuple(_drop(run, quarantined.get(run.name, ())) for run in ordered)


def _feed(run: Execution) -> str:
    return source_of(run).partition("/")[0]


def _drop(run: Execution, reasons: Sequence[ReasonCount]) -> Drop:
    ingested, committed = answer(run, "ingestion", Ingested), committed_of(run)
    delivered = answer(run, "delivery", Delivered)
    return Drop(
        name=source_of(run),
        feed=_feed(run),
        accepted=committed.rows_accepted if committed else delivered.rows if delivered else 0,
        quarantined=sum(one.rows for one in reasons),
        reasons=tuple(reasons),
        rejected=ingested.reason or "" if ingested else "",
        snapshot=committed.snapshot_id if committed else "",
    )
