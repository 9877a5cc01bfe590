"""Find a first training that another training made needless: while that one runs, no model is live yet."""

from __future__ import annotations

from typing import Any

from console.queries.answers import answer, reason_of
from console.queries.executions import Execution
from console.queries.runs import Run, list_runs, read_execution
from millrace.messages.train import BudgetChecked, BudgetRefusal
from millrace.names import WorkloadNames

LOOKED_AT = 20
"""How many of the newest trainings are looked through. Each file that arrives during the first training starts a run
that does not train."""


def training_instead(states: Any, names: WorkloadNames, execution: Execution) -> Run | None:
    """The training because of which this first training did not start; None if the execution is not such a run.

    That training was still running, or its version was being released. `states` is boto3's Step Functions client."""
    if execution.machine != "train" or reason_of(execution) != "first" or not _was_in_the_way(execution):
        return None
    # Newest first. The first run that began before this one ended and that was not itself refused is the one that
    # trained. A run without an answer of `budget` yet may still train.
    for run in list_runs(states, names, machine="train", limit=LOOKED_AT):
        if run.arn != execution.arn and run.started <= execution.stopped:
            budgeted = answer(read_execution(states, run), "budget", BudgetChecked)
            if budgeted is None or budgeted.accepted:
                return run
    return None


def _was_in_the_way(execution: Execution) -> bool:
    budgeted = answer(execution, "budget", BudgetChecked)
    return budgeted is not None and budgeted.reason in (BudgetRefusal.BUSY, BudgetRefusal.RELEASE)
