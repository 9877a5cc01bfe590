"""How people read a run of `query`: which query, and how much it read."""

from __future__ import annotations

from collections.abc import Sequence

from millrace.console.presenters.presenter import Document, Outcome, Presenter
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import Execution
from millrace.console.queries.report import WorkloadReport
from millrace.names import QUERY


def _subject(_: Document, detail: Document) -> str:
    return str(detail.get("schedule", "")).removeprefix(f"{QUERY}-")


def _outcome(run: Execution, _: Sequence[ReasonCount]) -> Outcome:
    unloaded = run.output.get("unloaded", {})
    return Outcome(text=f"unloaded, {unloaded['scanned_bytes'] / 1e6:,.1f} MB read") if unloaded else Outcome()


def _summary(_: Execution, __: WorkloadReport) -> None:
    """Nothing: its drops are in the timeline."""


PRESENTER = Presenter(subject=_subject, outcome=_outcome, summary=_summary)
