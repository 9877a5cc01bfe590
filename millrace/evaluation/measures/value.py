"""Measures what the decisions are worth, and how much more than today's decisions.

Axes: T test rows, R the test rows that today's model or rule answers, W numbers of an answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from millrace.evaluation.bootstrap import Bootstrap, Floats
from millrace.evaluation.evidence import Estimate
from millrace.evaluation.gates.value import BinaryWorth, ClassWorth, NumberWorth, Value, ValueEvidence
from millrace.evaluation.measures.case import Case
from millrace.tasks.task import Task

Amounts = npt.NDArray[np.float64]


def measure(gate: Value, case: Case) -> ValueEvidence:
    """The worth of the decisions in one period: the mean of a decision times the declared number of decisions.

    Both sides are measured on the rows that both answer."""
    today, rows_T = case.today, case.today.rows_T
    # `unique` numbers the blocks that are left from 0 again.
    bootstrap = Bootstrap(np.unique(case.block_T[rows_T], return_inverse=True)[1])
    own_R = amounts(gate.worth, case.task, case.output_TW[rows_T], case.test_targets[rows_T])
    gain_R = own_R - amounts(gate.worth, today.task, today.output_TW, today.target_T)
    value, gain = (_times(bootstrap.mean(each_R), gate.decisions) for each_R in (own_R, gain_R))
    return ValueEvidence(today=today.name, value=value, gain=gain)


def amounts(worth: Any, task: Task, output_RW: Floats, target_R: npt.NDArray[Any]) -> Amounts:
    """The worth of each decision (R), in the gate's unit."""
    if isinstance(worth, NumberWorth):
        off_R = task.answers(output_RW)["value"] - target_R
        of_numbers: Amounts = np.where(off_R > 0, worth.above * off_R, -worth.below * off_R)
        return of_numbers
    if isinstance(worth, BinaryWorth):
        # table[answer, label]; 1 is the positive class.
        table = np.array(
            [[worth.true_negative, worth.false_negative], [worth.false_positive, worth.true_positive]], np.float64
        )
        answer_R = task.answers(output_RW)["value"]
        found: Amounts = table[answer_R, (target_R > 0).astype(int)]
        return found
    assert isinstance(worth, ClassWorth)
    # table[answer, label] too: `wrong` everywhere, `right` on the diagonal, then the declared pairs.
    names = [str(name) for name in task.classes]  # type: ignore[attr-defined]
    table = np.full((len(names), len(names)), worth.wrong)
    np.fill_diagonal(table, worth.right)
    for label, by_answer in worth.pairs.items():
        for answer, amount in by_answer.items():
            table[names.index(answer), names.index(label)] = amount
    of_pairs: Amounts = table[task.said(output_RW), target_R]  # type: ignore[attr-defined]
    return of_pairs


def _times(figure: Estimate, decisions: float) -> Estimate:
    """The figure of one decision as the figure of a period."""
    return Estimate(value=figure.value * decisions, low=figure.low * decisions, high=figure.high * decisions)
