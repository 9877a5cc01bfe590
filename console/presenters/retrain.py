"""How people read a run of `retrain`: who requested it, what the guard decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.presenters.presenter import Document, Presenter, RunSummary
from console.queries.answers import answer
from console.words import day, spelled
from millrace.messages.retrain import RetrainingDecided

if TYPE_CHECKING:
    from console.queries.executions import Execution
    from console.queries.report import WorkloadReport


def _subject(given: Document, detail: Document) -> str:
    alarms = [detail["alarmName"]] if "alarmName" in detail else detail.get("alarms", [])
    if alarms:
        return "alarm " + ", ".join(str(alarm) for alarm in alarms)
    return str(given.get("reason") or ("schedule" if "schedule" in detail else "command"))


def _outcome(run: Execution) -> str:
    guarded = answer(run, "guard", RetrainingDecided)
    if guarded is None:
        return ""
    if guarded.accepted:
        return f"accepted, trigger {guarded.trigger}"
    until = f" until {guarded.earliest_next:%Y-%m-%d}" if guarded.earliest_next else ""
    return f"refused, {guarded.reason}{until}"


def _summary(run: Execution, _: WorkloadReport) -> RunSummary | None:
    guarded = answer(run, "guard", RetrainingDecided)
    if guarded is None:
        return None
    if guarded.accepted:
        return RunSummary(what="Retraining accepted", detail=guarded.sentence, tone="watch")
    until = f"; earliest {day(guarded.earliest_next)}" if guarded.earliest_next else ""
    what = f"Retraining refused: {spelled(guarded.reason)}"
    return RunSummary(what=what, detail=f"{guarded.sentence}{until}", tone="watch")


PRESENTER = Presenter(subject=_subject, outcome=_outcome, summary=_summary)
