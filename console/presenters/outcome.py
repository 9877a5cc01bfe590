"""The outcome of a run beside its status: SUCCEEDED says that a machine reached its end, not that it accepted a row.

ingest   0 accepted, 11,000 quarantined (type 10,990, range 10)
train    refused by non_inferiority
retrain  not started: cool-down until 1997-06-19
"""

from __future__ import annotations

from collections.abc import Sequence

from console.presenters.catalogue import PRESENTERS
from console.presenters.presenter import Outcome
from console.queries.executions import Execution
from console.queries.quarantine import ReasonCount


def outcome(execution: Execution, reasons: Sequence[ReasonCount] = ()) -> Outcome:
    """The outcome of an execution; of one that failed or still runs its status, of a failed one also the error. Empty
    when the machine has no presenter.

    `reasons` are those of its quarantined rows, where they were read."""
    if not execution.is_good:
        failure = f", {execution.failure}" if execution.failure else ""
        return Outcome(text=f"{execution.status.lower()}{failure}")
    presenter = PRESENTERS.get(execution.machine)
    return presenter.outcome(execution, reasons) if presenter else Outcome()
