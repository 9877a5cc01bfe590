"""How people read a run of `train`: why it started, the version it made or the gates that refused it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.presenters.presenter import Document, Presenter, RunSummary
from console.queries.answers import answer, reason_of
from console.words import count, listed
from millrace.messages.train import BudgetChecked, DatasetPinned, GatesJudged, VersionRegistered

if TYPE_CHECKING:
    from console.queries.executions import Execution
    from console.queries.report import WorkloadReport


def _subject(given: Document, detail: Document) -> str:
    return str(given.get("reason") or ("first" if "rows_total" in detail else "command"))


def _outcome(run: Execution) -> str:
    budgeted, gated = answer(run, "budget", BudgetChecked), answer(run, "gating", GatesJudged)
    registered = answer(run, "registration", VersionRegistered)
    if budgeted and not budgeted.accepted:
        return f"not started, {budgeted.reason}"
    if registered:
        return f"version {registered.version}"
    return f"refused by {', '.join(verdict.name for verdict in gated.refusals)}" if gated else ""


def _summary(run: Execution, _: WorkloadReport) -> RunSummary:
    budgeted, pinned = answer(run, "budget", BudgetChecked), answer(run, "snapshot", DatasetPinned)
    gated, registered = answer(run, "gating", GatesJudged), answer(run, "registration", VersionRegistered)
    title = "First training" if reason_of(run) == "first" else "Training"
    if gated is None:
        return RunSummary(what=f"{title} not started", detail=(budgeted and budgeted.reason) or "", tone="watch")
    rows = f"{pinned.rows:,} rows" if pinned else ""
    if pinned and pinned.absorbed:
        rows += f", {pinned.absorbed:,} of them decisions with their late labels"
    if registered:
        detail = f"{rows}; passed {count(len(gated.verdicts), 'gate')}: {gated.verdicts[-1].sentence}"
        return RunSummary(what=f"{title}: version {registered.version}", detail=detail, tone="good")
    sentences = "; ".join(verdict.sentence for verdict in gated.refusals)
    refusal = f"{title}: model refused by {listed([verdict.name for verdict in gated.refusals])}"
    return RunSummary(what=refusal, detail=f"{rows}; {sentences}", tone="bad")


PRESENTER = Presenter(subject=_subject, outcome=_outcome, summary=_summary)
