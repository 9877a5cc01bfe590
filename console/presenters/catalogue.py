"""The presenter of each machine. To add one, write a file with a `PRESENTER` and add its line to `PRESENTERS`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.console.presenters import ingest, monitor, query, release, retrain, score, teardown, train
from millrace.console.presenters.presenter import Document, Outcome, Presenter
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import Execution
from millrace.names import WorkloadNames

PRESENTERS: Mapping[str, Presenter] = {
    "ingest": ingest.PRESENTER,
    "train": train.PRESENTER,
    "release": release.PRESENTER,
    "score": score.PRESENTER,
    "monitor": monitor.PRESENTER,
    "retrain": retrain.PRESENTER,
    "query": query.PRESENTER,
    "teardown": teardown.PRESENTER,
}


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
