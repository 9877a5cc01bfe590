"""Measures what the answers cost by the policy, and what they would cost if all acted or a person decided each.

Axes: T test rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from millrace.evaluation.evidence import CostEvidence, CostFigures
from millrace.evaluation.measures.case import Case
from millrace.tasks.answer import EXPECTED_COST
from millrace.tasks.binary import Binary
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.task import Task
from millrace.workload.policy import Costs, Policy

Amounts = npt.NDArray[np.float64]
Output = npt.NDArray[np.floating]

ROWS = 1000
"""The costs are those of so many rows."""


def costs_of(policy: Policy | None, case: Case) -> CostEvidence | None:
    """The costs on the test rows; None if the policy declares none.

    A person's decision costs `review`, whatever the label is."""
    if policy is None or (costs := policy.costs) is None:
        return None
    expected_T, measured_T = _amounts(case.task, case.output_TW, case.test_targets)
    acts_T = expected_T <= costs.review

    def figures(each_T: Amounts, came_T: Amounts) -> CostFigures:
        return CostFigures(expected=float(each_T.mean()) * ROWS, measured=case.bootstrap.mean(came_T * ROWS))

    return CostEvidence(
        digest=costs.digest,
        currency=costs.currency,
        review=costs.review,
        coverage=case.bootstrap.mean(acts_T.astype(np.float64)),
        by_policy=figures(np.where(acts_T, expected_T, costs.review), np.where(acts_T, measured_T, costs.review)),
        all_automated=figures(expected_T, measured_T),
        all_reviewed=costs.review * ROWS,
    )


def cost_by_row(costs: Costs, task: Task, output_TW: Output, target_T: npt.NDArray[Any]) -> Amounts:
    """What each row (T) costs by the policy: the answer if it acts, else a person's decision."""
    expected_T, measured_T = _amounts(task, output_TW, target_T)
    return np.where(expected_T <= costs.review, measured_T, costs.review)


def _amounts(task: Task, output_TW: Output, target_T: npt.NDArray[Any]) -> tuple[Amounts, Amounts]:
    """What the answer to each row (T) is expected to cost, and what it costs by its label."""
    assert isinstance(task, Binary | Multiclass)
    # costs[label][answer]: the target of two classes is a number, 0 or 1.
    answer_T, label_T = task.said(output_TW).astype(int), target_T.astype(int)
    return task.answers(output_TW)[EXPECTED_COST], np.array(task.costs)[label_T, answer_T]
