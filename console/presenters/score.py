"""How people read a run of `score`: its drops, and the predictions that were delivered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from millrace.console.presenters.drops import (
    dropped_object,
    example,
    look,
    most_refused,
    of_several,
    quarantined_counts,
    quarantined_rows,
    rejected,
    unlisted_counts,
)
from millrace.console.presenters.presenter import Document, Outcome, Presenter, RunSummary
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import DropAnswer, Execution, drops_of
from millrace.console.queries.report import WorkloadReport
from millrace.console.words import brief, count
from millrace.datasets.quarantine import together

NEWEST = "the newest drop"
"""What a run by hand works on if its input names no drop."""


def _subject(given: Document, detail: Document) -> str:
    return dropped_object(given, detail) or NEWEST


def _outcome(run: Execution, reasons: Sequence[ReasonCount]) -> Outcome:
    drops = drops_of(run)
    if len(drops) == 1:
        return _outcome_of(drops[0], reasons)
    return of_several(_result(drops), [(drop.name, _outcome_of(drop, ())) for drop in drops])


def _result(drops: Sequence[DropAnswer]) -> str:
    """What several drops gave together: their predictions."""
    delivered = [drop.delivered for drop in drops if drop.delivered]
    if not delivered:
        return ""
    rows, quarantined = sum(one.rows for one in delivered), sum(one.quarantined for one in delivered)
    reasons = together(*(one.reasons for one in delivered))
    others = sum((Counter(one.unlisted) for one in delivered), Counter[str]())
    return f"{_predictions(rows)}{quarantined_counts(quarantined, reasons)}{_unlisted(others)}"


def _predictions(rows: int) -> str:
    return f"{rows:,} {'prediction' if rows == 1 else 'predictions'} delivered" if rows else "no prediction delivered"


def _unlisted(cells: Mapping[str, int]) -> str:
    return f", taken as unknown: {unlisted_counts(cells)}" if cells else ""


def _outcome_of(drop: DropAnswer, reasons: Sequence[ReasonCount]) -> Outcome:
    if drop.rejected:
        return rejected(drop, drop.rejected)
    if drop.delivered is None:
        return Outcome()
    rows, quarantined = drop.delivered.rows, drop.delivered.quarantined
    counts = f"{quarantined_counts(quarantined, drop.delivered.reasons)}{_unlisted(drop.delivered.unlisted)}"
    if unopened := drop.delivered.unopened:
        counts += f", {unopened:,} for a person that are not in the queue"
    text = f"{_predictions(rows)}{counts}"
    return Outcome(
        text=text,
        detail=example(rows, reasons),
        is_refused=not rows,
        warning=most_refused(rows, quarantined, reasons),
        look=look(drop, quarantined),
        uri=drop.delivered.uri if rows else "",  # the file is there, and holds no row
    )


def _summary(run: Execution, report: WorkloadReport) -> RunSummary:
    found = [_summary_of(drop, report) for drop in drops_of(run)]
    return RunSummary(
        what="; ".join(one.what for one in found),
        detail="; ".join(one.detail for one in found),
        tone="watch" if any(one.tone == "watch" for one in found) else "plain",
    )


def _summary_of(drop: DropAnswer, report: WorkloadReport) -> RunSummary:
    delivered, refused = drop.delivered, report.quarantined.get(drop.drop_id, ())
    subject, why = drop.name or NEWEST, [quarantined_rows(refused)] if refused else []
    if delivered is None or not delivered.rows:
        detail = ", ".join(["no prediction delivered", *why])
        # Without an answer of `delivery` the drop never got as far as a model.
        whole = "rejected whole" if delivered is None else "not scored"
        return RunSummary(what=f"{subject} {whole}", detail=detail, tone="watch")
    given = [f"{count(delivered.rows, 'prediction')} delivered", *why, f"in {brief(delivered.uri)}"]
    return RunSummary(what=f"{subject} scored", detail=", ".join(given))


PRESENTER = Presenter(subject=_subject, outcome=_outcome, summary=_summary)
