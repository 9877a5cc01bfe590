"""The task `interval`: a number with an interval around it, as its median and two declared quantiles.

Example: `{"value": 61.2, "lower": 41.0, "upper": 88.3}`. Axes: N rows, P numbers of a row, L the three levels, W = 3 P
numbers of an answer, Q quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millrace.errors import WorkloadError
from millrace.tasks.regression import Regression
from millrace.tasks.task import AnswerField, Objective

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.contract.schema import Column
    from millrace.tasks.task import Floats
    from millrace.workload.predicted_label import PredictedLabel

MEDIAN = 0.5
LEVELS = 3
"""How many numbers stand for one amount: the lower quantile, the median and the upper quantile."""


def objective_of(quantiles: tuple[float, float], *, numbers: int = 1) -> Objective:
    """The objective with the pinball loss of the lower quantile, the median and the upper quantile.

    `numbers` says how many amounts a row has: 1, or the number of horizons."""
    lower, upper = quantiles
    return Objective(
        loss="pinball",
        activation="",
        width=LEVELS * numbers,
        target="float32",
        is_standardised=True,
        levels=LEVELS,
        options={"quantiles": (lower, MEDIAN, upper)},
    )


def sorted_levels(output_NW: Floats) -> npt.NDArray[np.float64]:
    """The lower quantile, the median and the upper quantile of each amount of a row, sorted: (N, W / 3, 3)."""
    import numpy as np

    levels_NPL: npt.NDArray[np.float64] = np.sort(
        output_NW.astype(np.float64).reshape(len(output_NW), output_NW.shape[1] // LEVELS, LEVELS), axis=2
    )
    return levels_NPL


@dataclass(frozen=True, kw_only=True)
class Interval(Regression):
    """`output_NW` is (N, 3): the lower quantile, the median and the upper quantile, in the label's unit.

    Three outputs of one network may cross: the median may come out above the upper quantile. So each row's three
    numbers are sorted. None of them is a worse quantile afterwards than before (Chernozhukov, Fernandez-Val and
    Galichon 2010, Quantile and Probability Curves Without Crossing)."""

    kind: ClassVar[str] = "interval"
    answer: ClassVar[tuple[AnswerField, ...]] = (
        AnswerField(name="value", kind="number"),
        AnswerField(name="lower", kind="number"),
        AnswerField(name="upper", kind="number"),
    )

    quantiles: tuple[float, float]
    """The lower and the upper quantile: with (0.05, 0.95), nine in ten labels lie between them."""

    @classmethod
    def declare(cls, prediction: PredictedLabel, label: Column) -> Self:
        """The task for a column of numbers, with one quantile below the median and one above it.

        Raises WorkloadError for another label, and for other quantiles."""
        plain, quantiles = Regression.declare(prediction, label), prediction.quantiles
        if len(quantiles) != 2 or not quantiles[0] < MEDIAN < quantiles[1]:
            expected, field = "two quantiles, one below 0.5 and one above it", "prediction.quantiles"
            raise WorkloadError(where="workload.yaml", field=field, expected=expected, came=list(quantiles))
        return cls(unit=plain.unit, quantiles=(quantiles[0], quantiles[1]))

    @property
    def objective(self) -> Objective:
        return objective_of(self.quantiles)

    def answers(self, output_NW: Floats) -> Mapping[str, npt.NDArray[Any]]:
        import numpy as np

        lower_N, median_N, upper_N = np.moveaxis(sorted_levels(output_NW)[:, 0], 1, 0)
        return {"value": median_N, "lower": lower_N, "upper": upper_N}

    @property
    def output_names(self) -> tuple[str, ...]:
        return ("lower", "value", "upper")

    def metrics(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> Mapping[str, float | None]:
        """The figures of `Regression` for the median, and four figures of the interval.

        `coverage` is the share of the labels that lie in the interval. It should be the upper quantile minus the lower
        one; `coverage_gap` is its distance from that. `width` is the mean width of the interval, and `pinball` the mean
        pinball loss of the three numbers, both in the label's unit."""
        import numpy as np

        found = self.answers(output_NW)
        inside_N = (found["lower"] <= target_N) & (target_N <= found["upper"])
        # How far each quantile lies below the label; negative if it lies above.
        short_NQ = target_N[:, None] - sorted_levels(output_NW)[:, 0]
        # The pinball loss of a quantile q: q × the distance if the label is above, (1 - q) × the distance if below.
        q_Q = np.array(self.objective.options["quantiles"])
        return {
            **Regression(unit=self.unit).metrics(found["value"][:, None], target_N),
            "coverage": float(inside_N.mean()),
            "coverage_gap": abs(float(inside_N.mean()) - (self.quantiles[1] - self.quantiles[0])),
            "width": float((found["upper"] - found["lower"]).mean()),
            "pinball": float(np.maximum(q_Q * short_NQ, (q_Q - 1) * short_NQ).mean()),
        }
