"""How people read a run of `score`: the drop and what was delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.presenters.drops import dropped_object, quarantined_rows, row_counts
from console.presenters.presenter import Document, Presenter, RunSummary
from console.queries.answers import answer
from console.words import count
from millrace.messages.ingest import Ingested
from millrace.messages.score import Delivered

if TYPE_CHECKING:
    from console.queries.executions import Execution
    from console.queries.report import WorkloadReport


def _subject(given: Document, detail: Document) -> str:
    return dropped_object(given, detail) or "the newest drop"


def _outcome(run: Execution) -> str:
    ingested, delivered = answer(run, "ingestion", Ingested), answer(run, "delivery", Delivered)
    if ingested and ingested.rejected:
        return f"rejected, {ingested.reason}"
    return row_counts(delivered.rows, delivered.quarantined) if delivered else ""


def _summary(run: Execution, report: WorkloadReport) -> RunSummary:
    delivered, refused = answer(run, "delivery", Delivered), report.quarantined.get(run.name, ())
    detail = [f"{count(delivered.rows, 'prediction')} delivered" if delivered else "rejected whole, nothing delivered"]
    detail += [quarantined_rows(refused)] if refused else []
    subject = _subject(run.input, run.input.get("detail") or {})
    return RunSummary(what=f"{subject} scored", detail=", ".join(detail))


PRESENTER = Presenter(subject=_subject, outcome=_outcome, summary=_summary)
