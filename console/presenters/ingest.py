"""How people read a run of `ingest`: the drop, its rows, what was wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from console.presenters.drops import dropped_object, quarantined_rows, row_counts
from console.presenters.presenter import Presenter, RunSummary, TimelineEntry
from console.queries.answers import answer, committed_of, source_of
from console.words import count
from millrace.messages.ingest import Ingested

if TYPE_CHECKING:
    from console.queries.executions import Execution
    from console.queries.report import WorkloadReport


def _outcome(run: Execution) -> str:
    ingested, committed = answer(run, "ingestion", Ingested), committed_of(run)
    if ingested and ingested.rejected:
        return f"rejected, {ingested.reason}"
    if committed is None:
        return ""
    if committed.duplicate:
        return f"the bytes of {committed.alias_of.rpartition('/')[2].partition('?')[0]} again, no rows"
    return row_counts(committed.rows_accepted, committed.rows_quarantined)


def _summary(run: Execution, report: WorkloadReport) -> RunSummary | None:
    """None when every row was accepted."""
    refused, committed = report.quarantined.get(run.name, ()), committed_of(run)
    if committed is None or committed.duplicate:
        return RunSummary(what=f"{source_of(run)} added no rows", detail=_outcome(run), tone="watch")
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
        detail=f"{names[0]}{last}: {rows:,} rows accepted, none quarantined",
        seconds=sum(run.seconds for run in runs),
    )


PRESENTER = Presenter(subject=dropped_object, outcome=_outcome, summary=_summary, quiet=_quiet)
