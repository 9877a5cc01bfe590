"""How people read a run of `score`: the drop and what was delivered."""

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
from console.presenters.presenter import Document, Outcome, Presenter, RunSummary
from console.queries.answers import answer
from console.words import brief, count
from millrace.messages.ingest import Ingested
from millrace.messages.score import Delivered

if TYPE_CHECKING:
    from console.queries.executions import Execution
    from console.queries.quarantine import ReasonCount
    from console.queries.report import WorkloadReport


def _subject(given: Document, detail: Document) -> str:
    return dropped_object(given, detail) or "the newest drop"


def _outcome(run: Execution, reasons: Sequence[ReasonCount]) -> Outcome:
    ingested, delivered = answer(run, "ingestion", Ingested), answer(run, "delivery", Delivered)
    if ingested and ingested.rejected:
        return rejected(run, ingested)
    if delivered is None:
        return Outcome()
    rows, quarantined = delivered.rows, delivered.quarantined
    text = f"{rows:,} predictions delivered{quarantined_counts(quarantined, reasons)}"
    return Outcome(
        text=text,
        detail=example(rows, reasons),
        is_refused=not rows,
        warning=most_refused(rows, quarantined, reasons),
        look=look(run, quarantined),
        uri=delivered.uri,
    )


def _summary(run: Execution, report: WorkloadReport) -> RunSummary:
    delivered, refused = answer(run, "delivery", Delivered), report.quarantined.get(run.name, ())
    subject, why = _subject(run.input, run.input.get("detail") or {}), [quarantined_rows(refused)] if refused else []
    if delivered is None or not delivered.rows:
        detail = ", ".join(["no prediction delivered", *why])
        whole = "rejected whole" if delivered is None else "not scored"
        return RunSummary(what=f"{subject} {whole}", detail=detail, tone="watch")
    given = [f"{count(delivered.rows, 'prediction')} delivered", *why, f"in {brief(delivered.uri)}"]
    return RunSummary(what=f"{subject} scored", detail=", ".join(given))


PRESENTER = Presenter(subject=_subject, outcome=_outcome, summary=_summary)
