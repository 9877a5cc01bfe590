"""Measures what the answers cost by the policy, and what they would cost if all acted or a person decided each.

Axes: T test rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.evaluation.evidence import CostEvidence, CostFigures
from millrace.tasks.answer import EXPECTED_COST
from millrace.tasks.binary import Binary
from millrace.tasks.multiclass import Multiclass

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.evaluation.measures.case import Case
    from millrace.workload.policy import Policy

    Amounts = npt.NDArray[np.float64]

ROWS = 1000
"""The costs are those of so many rows."""


def costs_of(policy: Policy | None, case: Case) -> CostEvidence | None:
    """The costs on the test rows; None if the policy declares none.

    A person's decision costs `review`, whatever the label is."""
    if policy is None or (costs := policy.costs) is None:
        return None
    task = case.task
    assert isinstance(task, Binary | Multiclass)
    expected_T: Amounts = case.task.answers(case.output_TW)[EXPECTED_COST]
    # costs[label][answer]: the target of two classes is a number, 0 or 1.
    answer_T, label_T = task.said(case.output_TW).astype(int), case.test_targets.astype(int)
    measured_T: Amounts = np.array(task.costs)[label_T, answer_T]
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
