"""How people read a run of `ingest`: its drops, their rows, and what was wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from millrace.console.presenters.drops import (
    dropped_object,
    example,
    look,
    most_refused,
    of_several,
    quarantined_counts,
    quarantined_rows,
    rejected,
)
from millrace.console.presenters.presenter import Outcome, Presenter, RunSummary, TimelineEntry, until
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import DropAnswer, Execution, drops_of
from millrace.console.queries.report import WorkloadReport
from millrace.console.words import count
from millrace.datasets.quarantine import together
from millrace.messages.ingest import Committed


def _outcome(run: Execution, reasons: Sequence[ReasonCount] = ()) -> Outcome:
    drops = drops_of(run)
    if len(drops) == 1:
        return _outcome_of(drops[0], reasons)
    return of_several(_result(drops), [(drop.name, _outcome_of(drop, waits=False)) for drop in drops])


def _result(drops: Sequence[DropAnswer]) -> str:
    """What several drops gave together: their rows, and what the first training waits for after the last drop."""
    committed = [drop.committed for drop in drops if drop.committed]
    if not committed:
        return ""
    accepted, quarantined = (
        sum(one.rows_accepted for one in committed),
        sum(one.rows_quarantined for one in committed),
    )
    # The largest total stands for the table after all drops.
    last = max(committed, key=lambda one: one.rows_total)
    reasons = together(*(one.reasons for one in committed))
    replaced = _instead_of(sum(one.rows_replaced for one in committed))
    return f"{accepted:,} accepted{replaced}{quarantined_counts(quarantined, reasons)}{_until_training(last)}"


def _outcome_of(drop: DropAnswer, reasons: Sequence[ReasonCount] = (), *, waits: bool = True) -> Outcome:
    """The outcome of one drop. With `waits` it says what the first training still waits for; else that is said for all
    drops together."""
    committed = drop.committed
    if drop.rejected:
        return rejected(drop, drop.rejected)
    if committed is None:
        return Outcome()
    until_training = _until_training(committed) if waits else ""
    if committed.held:
        return Outcome(text=f"held for a person: {committed.held_for}", is_refused=True, look=("labels",))
    # No row was added in the next two cases: a later version came first, or the bytes are known already.
    if committed.superseded_by:
        return Outcome(text="no row added: a later version of the same object came before")
    if committed.duplicate:
        text = f"no row added{_instead_of(committed.rows_replaced)}: the bytes of {committed.repeats} again"
        refused = rows_refused_before(committed.repeats) if committed.refused_before else ()
        return Outcome(text=f"{text}{until_training}", look=refused)
    accepted, quarantined = committed.rows_accepted, committed.rows_quarantined
    replaced = _instead_of(committed.rows_replaced)
    text = f"{accepted:,} accepted{replaced}{quarantined_counts(quarantined, committed.reasons)}{until_training}"
    if committed.unanswered:
        text += f"; {committed.unanswered:,} are of no known decision, and no retraining counts them"
    return Outcome(
        text=text,
        detail=example(accepted, reasons),
        is_refused=not accepted,
        warning=most_refused(accepted, quarantined, reasons),
        look=look(drop, quarantined),
    )


def _instead_of(rows: int) -> str:
    """` in the place of 12,014 rows of an earlier version`; empty if no row left."""
    return f" in the place of {count(rows, 'row')} of an earlier version" if rows else ""


def rows_refused_before(name: str) -> tuple[str, ...]:
    """The words of the command that writes a drop's refused rows: these may be accepted now, the others are in the
    table already."""
    file = PurePosixPath(name)
    return ("quarantine", "--drop", name, "--rows", f"{file.stem}-refused{file.suffix}")


def _until_training(committed: Committed) -> str:
    """What the first training still waits for; empty if it does not wait."""
    if not (missing := committed.rows_missing):
        return ""
    verb = "is" if missing == 1 else "are"
    return (
        f"; no training yet: {count(missing, 'row')} {verb} missing of the {committed.first_rows:,} that start the "
        "first one (first_rows in workload.yaml; `millrace train` starts one now)"
    )


def _summary(run: Execution, report: WorkloadReport) -> RunSummary | None:
    """What the timeline says of the run; None if every row was accepted."""
    drops = drops_of(run)
    is_alone = len(drops) == 1
    found = [summary for drop in drops if (summary := _summary_of(drop, report, waits=is_alone))]
    if len(found) < 2:
        return found[0] if found else None
    return RunSummary(what="; ".join(one.what for one in found), detail="; ".join(one.detail for one in found),
                      tone="watch")  # fmt: skip


def _summary_of(drop: DropAnswer, report: WorkloadReport, *, waits: bool) -> RunSummary | None:
    """What the timeline says of one drop; None if every row of it was accepted."""
    refused, committed = report.quarantined.get(drop.drop_id, ()), drop.committed
    if committed is None or committed.duplicate or committed.superseded_by or committed.held:
        return RunSummary(what=f"{drop.name} added no rows", detail=_outcome_of(drop, waits=waits).text, tone="watch")
    if not refused:
        return None
    detail = f"{committed.rows_accepted:,} rows accepted, {quarantined_rows(refused)}"
    return RunSummary(what=f"{drop.name} ingested with bad rows", detail=detail, tone="watch")


def _quiet(runs: Sequence[Execution], _: WorkloadReport) -> TimelineEntry:
    """One entry for several runs whose rows were all accepted."""
    drops = [drop for run in runs for drop in drops_of(run)]
    rows = sum(drop.committed.rows_accepted for drop in drops if drop.committed)
    names = sorted(drop.name for drop in drops)
    last = f" to {names[-1]}" if len(names) > 1 else ""
    return TimelineEntry(
        at=runs[0].started,
        what=f"{count(len(drops), 'file')} ingested".capitalize(),
        detail=f"{until(runs)}{names[0]}{last}: {rows:,} rows accepted, none quarantined",
        seconds=sum(run.seconds for run in runs),
    )


PRESENTER = Presenter(subject=dropped_object, outcome=_outcome, summary=_summary, quiet=_quiet)
