"""Outcomes as a table, of decisions that a test makes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from millrace.decisions.columns import ColumnShape, of_decisions
from millrace.decisions.outcome_columns import NEVER, Outcomes
from millrace.decisions.record import Decision
from millrace.tasks.binary import Binary
from millrace.tasks.task import Task


def outcomes_of(
    decisions: Sequence[Decision],
    labels: Sequence[Any],
    errors: Sequence[float | None],
    *,
    task: Task | None = None,
    labelled_at: Sequence[datetime] | None = None,
) -> Outcomes:
    """Each decision with its label and its error; of a task with one answer of two if none is given."""
    came = [round(at.timestamp() * 1e6) for at in labelled_at] if labelled_at else [NEVER] * len(decisions)
    found = np.empty(len(labels), object)
    for place, label in enumerate(labels):
        found[place] = label
    return Outcomes(
        decisions=of_decisions(decisions, ColumnShape(cells={}, answer=(task or Binary()).answer)),
        places=np.arange(len(decisions)),
        labels=found,
        errors=np.array(errors, np.float64),
        weights=np.ones(len(decisions)),
        labelled_at=np.array(came, np.int64),
    )
