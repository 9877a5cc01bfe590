"""How people read a run of `retrain`: who requested it, and what the guard decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.console.presenters.presenter import Document, Outcome, Presenter, RunSummary
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import Execution, answer
from millrace.console.queries.report import WorkloadReport
from millrace.console.words import day, spelled
from millrace.messages.retrain import RetrainingDecided, RetrainingReason


def _subject(given: Document, detail: Document) -> str:
    # CloudWatch's event names one alarm, the monitor's request a list of alarms that stay.
    alarms = [detail["alarmName"]] if "alarmName" in detail else detail.get("alarms", [])
    if alarms:
        return "alarm " + ", ".join(str(alarm) for alarm in alarms)
    return str(given.get("reason") or ("schedule" if "schedule" in detail else "command"))


NOT_RETRAINED: Mapping[RetrainingReason, str] = {
    RetrainingReason.RUNNING: "another retraining runs",
    RetrainingReason.COOL_DOWN: "cool-down",
    RetrainingReason.RUNS_PER_MONTH: "the month has had its retrainings",
    RetrainingReason.BUDGET: "the budget has no room for it",
    RetrainingReason.NEW_LABELS: "too few new labels",
    RetrainingReason.DRIFTED_LABELS: "too few labels of the drifted period",
    RetrainingReason.NO_CHAMPION: "no version is live",
    RetrainingReason.ALARM: "the alarm starts no retraining",
}
"""Why a retraining was refused, in words."""


def _outcome(run: Execution, _: Sequence[ReasonCount]) -> Outcome:
    guarded = answer(run, "guard", RetrainingDecided)
    if guarded is None:
        return Outcome()
    if guarded.accepted:
        return Outcome(text=f"accepted, trigger {guarded.trigger}")
    until = f" until {guarded.earliest_next:%Y-%m-%d}" if guarded.earliest_next else ""
    return Outcome(text=f"not started: {NOT_RETRAINED[guarded.reason]}{until}", is_refused=True)


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
