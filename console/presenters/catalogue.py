"""The presenter of each machine. To add one, write its `Presenter` and add its line to `PRESENTERS`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.console.presenters import monitor, train
from millrace.console.presenters.drops import INGEST, SCORE
from millrace.console.presenters.presenter import Document, Outcome, Presenter
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import Execution, answer
from millrace.messages.retrain import RetrainingDecided, RetrainingReason
from millrace.names import QUERY, WorkloadNames


def outcome(execution: Execution, reasons: Sequence[ReasonCount] = ()) -> Outcome:
    """The outcome of an execution. If it failed or still runs, that is its status, and the error of a failed one.

    Empty if the machine has no presenter. `reasons` are those of the rows that it quarantined, if they were read."""
    if not execution.is_good:
        failure = f", {execution.failure}" if execution.failure else ""
        return Outcome(text=f"{execution.status.lower()}{failure}")
    presenter = PRESENTERS.get(execution.machine)
    return presenter.outcome(execution, reasons) if presenter else Outcome()


def run_title(names: WorkloadNames, machine: str, given: Document) -> str:
    """What an execution with this input is about; empty if the input does not show it.

    For example `training/1996-05.parquet`, `alarm input-drift`, `version 2`."""
    detail = given.get("detail")
    presenter = PRESENTERS.get(machine)
    title = presenter.subject(given, detail if isinstance(detail, Mapping) else {}) if presenter else ""
    # Names of alarms carry the workload's prefix, which says nothing to a reader of its runs.
    return title.replace(f"{names.prefix}-", "")


def titled(names: WorkloadNames, execution: Execution) -> str:
    """Machine and subject, for example `ingest labels/1997-05.csv`."""
    return f"{execution.machine} {run_title(names, execution.machine, execution.input)}".strip()


def _outcome_of_query(run: Execution, _: Sequence[ReasonCount]) -> Outcome:
    unloaded = run.output.get("unloaded", {})
    return Outcome(text=f"unloaded, {unloaded['scanned_bytes'] / 1e6:,.1f} MB read") if unloaded else Outcome()


def _subject_of_request(given: Document, detail: Document) -> str:
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


def _outcome_of_request(run: Execution, _: Sequence[ReasonCount]) -> Outcome:
    guarded = answer(run, "guard", RetrainingDecided)
    if guarded is None:
        return Outcome()
    if guarded.accepted:
        return Outcome(text=f"accepted, trigger {guarded.trigger}", detail=guarded.sentence)
    until = f" until {guarded.earliest_next:%Y-%m-%d}" if guarded.earliest_next else ""
    text = f"not started: {NOT_RETRAINED[guarded.reason]}{until}"
    return Outcome(text=text, detail=guarded.sentence, is_refused=True)


QUERIED = Presenter(
    subject=lambda _, detail: str(detail.get("schedule", "")).removeprefix(f"{QUERY}-"),
    outcome=_outcome_of_query,
    is_told=lambda _: False,  # its drops are in the timeline
)
RETRAIN = Presenter(subject=_subject_of_request, outcome=_outcome_of_request)


LEFT = "rules, schedules and the queue of drops are off; the stacks are left"

PRESENTERS: Mapping[str, Presenter] = {
    "ingest": INGEST,
    "train": train.TRAIN,
    "release": train.RELEASE,
    "score": SCORE,
    "monitor": monitor.PRESENTER,
    "retrain": RETRAIN,
    "upkeep": Presenter(
        outcome=lambda run, _: Outcome(text="a record" if run.input.get("is_incident") else "the tables are kept up"),
        is_told=lambda _: False,
    ),
    "query": QUERIED,
    "teardown": Presenter(outcome=lambda _, __: Outcome(text=LEFT)),
}
