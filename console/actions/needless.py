"""A first training that another one made needless: no model is live before that other one has ended."""

from __future__ import annotations

from typing import Any

from console.queries.answers import answer, reason_of
from console.queries.executions import Execution
from console.queries.runs import Run, list_runs, read_execution
from millrace.messages.train import BudgetChecked, BudgetRefusal
from millrace.names import WorkloadNames

LOOKED_AT = 20
"""Trainings, the newest: each file that comes beside the first training starts one that does not train."""


def training_instead(states: Any, names: WorkloadNames, execution: Execution) -> Run | None:
    """The training for which this first one did not start, or after which it did not as its version was on its way to
    be released; None where the execution is no such one. `states` is boto3's Step Functions client."""
    if execution.machine != "train" or reason_of(execution) != "first" or not _was_in_the_way(execution):
        return None
    for run in list_runs(states, names, machine="train", limit=LOOKED_AT):
        if run.arn != execution.arn and run.started <= execution.stopped:
            budgeted = answer(read_execution(states, run), "budget", BudgetChecked)
            if budgeted is None or budgeted.accepted:
                return run
    return None


def _was_in_the_way(execution: Execution) -> bool:
    budgeted = answer(execution, "budget", BudgetChecked)
    return budgeted is not None and budgeted.reason in (BudgetRefusal.BUSY, BudgetRefusal.RELEASE)
