"""The kind of a label that is a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from console.new.kinds.multiclass import MOST_NUMBERED
from console.new.rules import column_of
from millrace.evaluation.naive.median import Median
from millrace.evaluation.naive.rule import NaiveGate
from millrace.evaluation.naive.seasonal_naive import SeasonalNaive

if TYPE_CHECKING:
    from console.new.observed import Observed
    from millrace.contract.schema import Column

TAILED = 1.1
"""A label has a tail if the mean's absolute error is more than so many times the median's."""
TAIL_HUBER = 0.03
"""The proposed `huber` for a label with a tail, in standard deviations.

A tail makes these large: with 1 a model answers about the mean, and is worse than the median."""


def has_tail(column: Observed) -> bool:
    """Whether a few numbers draw the mean far away from most of the others."""
    import numpy as np

    known = np.asarray(column.cells.drop_null().to_numpy(zero_copy_only=False), dtype=np.float64)
    known = known[np.isfinite(known)]
    # Without a tail the mean is about as near to all numbers as the median, which is the nearest.
    of_mean, of_median = (float(np.abs(known - middle).mean()) for middle in (known.mean(), np.median(known)))
    return of_mean > TAILED * of_median


@dataclass(frozen=True)
class Regression:
    """A label that is a number: whole numbers of many values, and all other numbers."""

    name: ClassVar[str] = "regression"
    wanted: ClassVar[str] = "a column of numbers"
    calibration: ClassVar[str] = ""

    def suits(self, column: Observed) -> bool:
        return column.is_number and column.distinct > 2

    def is_likely(self, column: Observed) -> bool:
        return self.suits(column) and (column.kind == "float64" or column.distinct > MOST_NUMBERED)

    def reason(self, column: Observed) -> str:
        return f"the label is a number with {column.distinct:,} values"

    def settings(self, column: Observed) -> Mapping[str, Any]:
        return {"huber": TAIL_HUBER} if has_tail(column) else {}

    def column(self, column: Observed, unit: str) -> Column:
        return replace(column_of(column), required=True, label=True, unit=unit)

    def horizon(self, hours: float, every_hours: float) -> float | list[float]:  # noqa: ARG002
        return hours

    def naive_rule(self, lag_hours: float | None) -> NaiveGate:
        if lag_hours is None:
            return Median(kind="median", margin=0.02)
        return SeasonalNaive(kind="seasonal_naive", lag_hours=lag_hours, margin=0.02)

    def find_problem(self, values: Sequence[object]) -> str:
        return "only one value" if len(set(values)) == 1 else ""
