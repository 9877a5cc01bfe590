"""A number with an interval around it: its median, and two declared quantiles."""

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
    from millrace.tasks.declared import DeclaredPrediction
    from millrace.tasks.task import Floats

MEDIAN = 0.5
LEVELS = 3
"""Numbers of an answer: the lower quantile, the median, the upper one."""


def objective_of(quantiles: tuple[float, float], *, numbers: int = 1) -> Objective:
    """The pinball loss of the lower quantile, the median and the upper one, for so many numbers of a row."""
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
    """The lower quantile, the median and the upper one of each number of a row: (N, W / 3, 3)."""
    import numpy as np

    levels_NPL: npt.NDArray[np.float64] = np.sort(
        output_NW.astype(np.float64).reshape(len(output_NW), -1, LEVELS), axis=2
    )
    return levels_NPL


@dataclass(frozen=True, kw_only=True)
class Interval(Regression):
    """`output_NW` is (N, 3): the lower quantile, the median and the upper one, in the label's unit.

    Three outputs of one network may cross. Each row's are sorted, after which none of them is a worse quantile than
    before (Chernozhukov, Fernandez-Val and Galichon 2010, Quantile and Probability Curves Without Crossing)."""

    kind: ClassVar[str] = "interval"
    answer: ClassVar[tuple[AnswerField, ...]] = (
        AnswerField(name="value", kind="number"),
        AnswerField(name="lower", kind="number"),
        AnswerField(name="upper", kind="number"),
    )

    quantiles: tuple[float, float]
    """The lower and the upper one: of (0.05, 0.95) nine in ten labels lie in between."""

    @classmethod
    def declare(cls, prediction: DeclaredPrediction, label: Column) -> Self:
        """For a column of numbers, with one quantile below the median and one above it."""
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

    def explained_output(self, output_NW: Floats) -> npt.NDArray[np.int64]:
        import numpy as np

        return np.full(len(output_NW), 1)

    def errors(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Of the median; the interval has figures of its own."""
        import numpy as np

        errors_N: npt.NDArray[np.float64] = np.abs(self.answers(output_NW)["value"] - target_N)
        return errors_N

    def metrics(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> Mapping[str, float | None]:
        """As a regression's of the median; `coverage` is the share of labels in the interval, which should be the
        upper quantile less the lower one and is `coverage_gap` away from it, `width` the interval's mean width and
        `pinball` the mean pinball loss of the three, both in the label's unit."""
        import numpy as np

        found = self.answers(output_NW)
        inside_N = (found["lower"] <= target_N) & (target_N <= found["upper"])
        short_NQ = target_N[:, None] - sorted_levels(output_NW)[:, 0]
        q_Q = np.array(self.objective.options["quantiles"])
        return {
            **Regression(unit=self.unit).metrics(found["value"][:, None], target_N),
            "coverage": float(inside_N.mean()),
            "coverage_gap": abs(float(inside_N.mean()) - (self.quantiles[1] - self.quantiles[0])),
            "width": float((found["upper"] - found["lower"]).mean()),
            "pinball": float(np.maximum(q_Q * short_NQ, (q_Q - 1) * short_NQ).mean()),
        }
