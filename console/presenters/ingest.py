"""How people read a run of `ingest`: the drop, its rows, what was wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from console.presenters.drops import (
    dropped_object,
    example,
    look,
    most_refused,
    quarantined_counts,
    quarantined_rows,
    rejected,
)
from console.presenters.presenter import Outcome, Presenter, RunSummary, TimelineEntry, until
from console.queries.answers import answer, committed_of, source_of
from console.words import count
from millrace.messages.ingest import Committed, Ingested

if TYPE_CHECKING:
    from console.queries.executions import Execution
    from console.queries.quarantine import ReasonCount
    from console.queries.report import WorkloadReport


def _outcome(run: Execution, reasons: Sequence[ReasonCount] = ()) -> Outcome:
    ingested, committed = answer(run, "ingestion", Ingested), committed_of(run)
    if ingested and ingested.rejected:
        return rejected(run, ingested)
    if committed is None:
        return Outcome()
    if committed.superseded_by:
        return Outcome(text="no row added: a later version of the same object came before")
    if committed.duplicate:
        first = committed.alias_of.rpartition("/")[2].partition("?")[0]
        text = f"no row added: the bytes of {first} again"
        if committed.withdrawn:
            return Outcome(text=f"{text}, whose rows were withdrawn", is_refused=True)
        return Outcome(text=f"{text}{_until_training(committed)}")
    accepted, quarantined = committed.rows_accepted, committed.rows_quarantined
    text = f"{accepted:,} accepted{quarantined_counts(quarantined, reasons)}{_until_training(committed)}"
    return Outcome(
        text=text,
        detail=example(accepted, reasons),
        is_refused=not accepted,
        warning=most_refused(accepted, quarantined, reasons),
        look=look(run, quarantined),
    )


def _until_training(committed: Committed) -> str:
    """What the first training waits for; nothing where it does not wait."""
    if not (missing := committed.rows_missing):
        return ""
    verb = "is" if missing == 1 else "are"
    return (
        f"; no training yet: {count(missing, 'row')} {verb} missing of the {committed.first_rows:,} that start the "
        "first one (first_rows in workload.yaml; `millrace train` starts one now)"
    )


def _summary(run: Execution, report: WorkloadReport) -> RunSummary | None:
    """None when every row was accepted."""
    refused, committed = report.quarantined.get(run.name, ()), committed_of(run)
    if committed is None or committed.duplicate or committed.superseded_by:
        return RunSummary(what=f"{source_of(run)} added no rows", detail=_outcome(run).text, tone="watch")
    if not refused:
        return None
    detail = f"{committed.rows_accepted:,} rows accepted, {quarantined_rows(refused)}"
    return RunSummary(what=f"{source_of(run)} ingested with bad rows", detail=detail, tone="watch")


def _quiet(runs: Sequence[Execution], _: WorkloadReport) -> TimelineEntry:
    rows = sum(made.rows_accepted for each in runs if (made := committed_of(each)))
    names = sorted(source_of(each) for each in runs)
    last = f" to {names[-1]}" if len(names) > 1 else ""
    return TimelineEntry(
        at=runs[0].started,
        what=f"{count(len(runs), 'file')} ingested".capitalize(),
        detail=f"{until(runs)}{names[0]}{last}: {rows:,} rows accepted, none quarantined",
        seconds=sum(run.seconds for run in runs),
    )


PRESENTER = Presenter(subject=dropped_object, outcome=_outcome, summary=_summary, quiet=_quiet)
