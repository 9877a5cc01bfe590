"""Measures the mean cost of the answers at a threshold. Axes: T test rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.evaluation.gates.classes import MeanCost, MeanCostEvidence
from millrace.tasks.binary import Binary

if TYPE_CHECKING:
    from millrace.evaluation.measures.case import Case


def measure(gate: MeanCost, case: Case) -> MeanCostEvidence:
    """The evidence of the gate: the mean cost of an answer on the test rows, with its interval."""
    assert isinstance(case.task, Binary)
    threshold = case.task.threshold if gate.threshold is None else gate.threshold
    said_T = case.output_TW[:, 0].astype(np.float64) >= threshold
    is_positive_T = case.test_targets > 0
    cost_T = np.where(said_T & ~is_positive_T, gate.false_positive, 0.0)
    cost_T += np.where(~said_T & is_positive_T, gate.false_negative, 0.0)
    return MeanCostEvidence(threshold=threshold, cost=case.bootstrap.mean(cost_T))
