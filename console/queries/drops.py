"""The dropped objects, and how many of their rows the contract accepted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from millrace.console.queries.answers import DropAnswer, drops_of
from millrace.console.queries.executions import Execution
from millrace.console.queries.quarantine import ReasonCount


@dataclass(frozen=True, kw_only=True)
class Drop:
    """One dropped object. Its rows are accepted + quarantined."""

    name: str
    """For example `training/1996-05.parquet`."""
    feed: str
    as_of: str
    """When it came, ISO 8601."""
    accepted: int
    quarantined: int
    reasons: tuple[ReasonCount, ...]
    rejected: str
    """Why the whole object could not be read; both counts are 0 then. Empty otherwise."""
    snapshot: str
    """The table snapshot that the rows became; empty for a drop to score."""
    repeats: str = ""
    """The name of the earlier object with the same bytes; both counts are 0 then. Empty otherwise."""
    is_superseded: bool = False
    """Whether a later version of the same object came first; both counts are 0 then."""
    replaced: int = 0
    """How many rows of an earlier version of the object left for these."""


def find_drops(runs: Iterable[Execution], quarantined: Mapping[str, tuple[ReasonCount, ...]]) -> tuple[Drop, ...]:
    """The drops by the start of their run. Drops of one feed that were processed at the same time are sorted by name.

    `runs` are executions of `ingest` and `score`, `quarantined` is by the drop's id. A drop that was run again is one
    drop, as its last run left it."""
    # Groups of drops whose runs overlap. Which of them started first is chance, so a group is sorted by name.
    beside: list[list[tuple[Execution, DropAnswer]]] = []
    for run, drop in _last_of_each(runs):
        last = beside[-1] if beside else []
        if last and _feed(last[0][1]) == _feed(drop) and run.started <= max(each.stopped for each, _ in last):
            last.append((run, drop))
        else:
            beside.append([(run, drop)])
    ordered = [drop for group in beside for _, drop in sorted(group, key=lambda each: each[1].name)]
    return tuple(_drop(drop, quarantined.get(drop.drop_id, ())) for drop in ordered)


def _last_of_each(runs: Iterable[Execution]) -> Iterator[tuple[Execution, DropAnswer]]:
    """Each drop once, by start, with the last run that says what became of it; if no run says it, with its last run."""
    found: dict[str, tuple[Execution, DropAnswer]] = {}
    for run in sorted(runs, key=lambda run: run.started):
        for drop in drops_of(run):
            if drop.name and (drop.is_answered or not (drop.drop_id in found and found[drop.drop_id][1].is_answered)):
                found[drop.drop_id] = (run, drop)
    return iter(sorted(found.values(), key=lambda each: each[0].started))


def _feed(drop: DropAnswer) -> str:
    """The feed is the first part of the name."""
    return drop.name.partition("/")[0]


def _drop(drop: DropAnswer, reasons: Sequence[ReasonCount]) -> Drop:
    committed, delivered = drop.committed, drop.delivered
    repeats, is_superseded = (committed.repeats, bool(committed.superseded_by)) if committed else ("", False)
    # The quarantine has one entry for a file that was rejected whole; that entry is no row.
    is_judged = not (drop.rejected or repeats or is_superseded)
    return Drop(
        name=drop.name,
        feed=_feed(drop),
        as_of=drop.as_of,
        accepted=committed.rows_accepted if committed else delivered.rows if delivered else 0,
        quarantined=sum(one.rows for one in reasons) if is_judged else 0,
        reasons=tuple(reasons) if is_judged or drop.rejected else (),
        rejected=drop.rejected.reason if drop.rejected else "",
        snapshot=committed.snapshot_id if committed else "",
        repeats=repeats,
        is_superseded=is_superseded,
        replaced=committed.rows_replaced if committed else 0,
    )
