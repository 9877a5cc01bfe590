"""The rule that repeats the label of some hours before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from millrace.errors import SnapshotError
from millrace.evaluation.gates.gate import Positive
from millrace.evaluation.naive.rule import LabelledRows, NaiveAnswer, NaiveGate, as_output

if TYPE_CHECKING:
    from millrace.tasks.task import Task


class SeasonalNaive(NaiveGate):
    """What the label was some hours before, for the same entity."""

    kind: Literal["seasonal_naive"]
    lag_hours: Positive

    @property
    def label_age_hours(self) -> float:
        return self.lag_hours

    def answer(self, rows: LabelledRows, task: Task) -> NaiveAnswer:
        """The label of the same entity `lag_hours` before, on the rows that have such a row before them."""
        import numpy as np

        # By key and time, not by position: rows may be missing, and several entities share the table.
        lag = np.timedelta64(round(self.lag_hours * 3600), "s")
        row_of = {key: row for row, key in enumerate(zip(rows.entity_N, rows.times_N.tolist(), strict=True))}
        sought = zip(rows.entity_N[rows.test], (rows.times_N[rows.test] - lag).tolist(), strict=True)
        before_T = np.array([row_of.get(key, -1) for key in sought], dtype=np.int64)
        rows_T = before_T >= 0
        if not rows_T.any():
            raise SnapshotError(f"expected test rows with a row {lag} before them, got none")
        return NaiveAnswer(output_TW=as_output(rows.target_N[before_T[rows_T]], task), rows_T=rows_T)
