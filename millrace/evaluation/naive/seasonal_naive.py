"""The naive rule `seasonal_naive`: it repeats the label of some hours before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from millrace.errors import SnapshotError
from millrace.evaluation.gates.gate import Positive
from millrace.evaluation.naive.rule import LabelledRows, NaiveAnswer, NaiveGate, as_output

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.tasks.task import Task


class SeasonalNaive(NaiveGate):
    """Answers each row with the label of the same entity `lag_hours` before.

    With several horizons, each horizon goes back as many times `lag_hours` as it needs to reach a known label:

        lag_hours   horizon   label used
        24          12        24 hours before the target, so 12 hours ago
        24          36        48 hours before the target, so 12 hours ago

    If `lag_hours` is the distance between rows, every horizon is answered with the last known label."""

    kind: Literal["seasonal_naive"]
    lag_hours: Positive

    @property
    def label_age_hours(self) -> float:
        return self.lag_hours

    def answer(self, rows: LabelledRows, task: Task) -> NaiveAnswer:
        """The label of the same entity `lag_hours` before, for the test rows that have such a row before them.

        Raises SnapshotError if no test row has one."""
        import numpy as np

        # Rows are found by key and time, not by position: rows may be missing, and several entities share the table.
        row_of = {key: row for row, key in enumerate(zip(rows.entity_N, rows.times_N.tolist(), strict=True))}

        def before(times: int) -> npt.NDArray[np.int64]:
            """The row `times` lags before each test row (T); -1 if there is none."""
            lag = np.timedelta64(round(times * self.lag_hours * 3600), "s")
            sought = zip(rows.entity_N[rows.test], (rows.times_N[rows.test] - lag).tolist(), strict=True)
            return np.array([row_of.get(key, -1) for key in sought], dtype=np.int64)

        # How many lags each horizon goes back; one for a task without horizons.
        times_P = [math.ceil(hours / self.lag_hours) for hours in getattr(task, "horizons_hours", ())] or [1]
        rows_of = {times: before(times) for times in dict.fromkeys(times_P)}
        # A row is answered only if every horizon finds its label.
        rows_T = np.logical_and.reduce([found >= 0 for found in rows_of.values()])
        if not rows_T.any():
            expected = f"test rows with a row {self.lag_hours:g} hours before them"
            raise SnapshotError(f"expected {expected}, got none")
        if len(times_P) == 1:
            target_R = rows.target_N[rows_of[times_P[0]][rows_T]]
        else:
            columns = [rows.target_N[rows_of[times][rows_T], part] for part, times in enumerate(times_P)]
            target_R = np.stack(columns, axis=1)
        return NaiveAnswer(output_TW=as_output(target_R, task), rows_T=rows_T)
