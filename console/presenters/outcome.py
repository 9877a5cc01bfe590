"""The outcome of a run, shown beside its status. SUCCEEDED only says that the machine reached its end, not that it
accepted a row.

ingest   0 accepted, 11,000 quarantined (type 10,990, range 10)
train    refused by non_inferiority
retrain  not started: cool-down until 1997-06-19"""

from __future__ import annotations

from collections.abc import Sequence

from console.presenters.catalogue import PRESENTERS
from console.presenters.presenter import Outcome
from console.queries.executions import Execution
from console.queries.quarantine import ReasonCount


def outcome(execution: Execution, reasons: Sequence[ReasonCount] = ()) -> Outcome:
    """The outcome of an execution. If it failed or still runs, that is its status, and the error of a failed one.

    Empty if the machine has no presenter. `reasons` are those of the rows that it quarantined, if they were read."""
    if not execution.is_good:
        failure = f", {execution.failure}" if execution.failure else ""
        return Outcome(text=f"{execution.status.lower()}{failure}")
    presenter = PRESENTERS.get(execution.machine)
    return presenter.outcome(execution, reasons) if presenter else Outcome()
