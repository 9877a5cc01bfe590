"""The task `forecast`: a number at several horizons at once, each with its median and two declared quantiles.

Example for two horizons: `{"value": [61.2, 70.1], "lower": [41.0, 20.4], "upper": [88.3, 152.0], "horizon_hours": [1.0,
24.0]}`. Axes: N rows, P horizons, L the three levels of a horizon, W numbers of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millrace.errors import WorkloadError
from millrace.tasks.interval import LEVELS, Interval, objective_of, sorted_levels
from millrace.tasks.regression import Regression
from millrace.tasks.task import AnswerField, Objective, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Column
    from millrace.tasks.task import Floats
    from millrace.workload.predicted_label import PredictedLabel


@dataclass(frozen=True, kw_only=True)
class Forecast(Task):
    """`output_NW` is (N, P x 3): lower quantile, median and upper quantile, horizon after horizon, in the label's unit.

    The three numbers of one horizon are sorted, as for `Interval`. Horizons do not constrain each other."""

    kind: ClassVar[str] = "forecast"
    error_name: ClassVar[str] = "mean absolute error"
    error_is_share: ClassVar[bool] = False

    unit: str = ""
    """The label's unit; empty if the contract names none."""
    quantiles: tuple[float, float]
    """The lower and the upper quantile: with (0.05, 0.95), nine in ten labels lie between them."""
    horizons_hours: tuple[float, ...]
    """How many hours ahead of its row each part of an answer lies, rising."""

    @classmethod
    def declare(cls, prediction: PredictedLabel, label: Column) -> Self:
        """The task for a column of numbers, with a list of horizons and two quantiles.

        Raises WorkloadError for another label, and without these."""
        plain = Interval.declare(prediction, label)
        if not prediction.horizons_hours:
            expected, came = "a list of hours, such as [1, 2, 3]", prediction.horizon_hours
            field = "prediction.label.horizon_hours"
            raise WorkloadError(where="workload.yaml", field=field, expected=expected, came=came)
        return cls(unit=plain.unit, quantiles=plain.quantiles, horizons_hours=prediction.horizons_hours)

    @property
    def answer(self) -> tuple[AnswerField, ...]:
        count = len(self.horizons_hours)
        names = ("value", "lower", "upper", "horizon_hours")
        return tuple(AnswerField(name=name, kind="number", length=count) for name in names)

    @property
    def part_names(self) -> tuple[str, ...]:
        return tuple(f"{hours:g} h" for hours in self.horizons_hours)

    @property
    def error_unit(self) -> str:
        return self.unit

    @property
    def objective(self) -> Objective:
        return objective_of(self.quantiles, numbers=len(self.horizons_hours))

    def targets(self, labels: pa.ChunkedArray) -> npt.NDArray[np.float32]:
        """The targets (N, P): each label is a list with one number for each horizon."""
        import pyarrow.compute as pc

        flat = Regression().targets(pc.list_flatten(labels))
        return flat.reshape(-1, len(self.horizons_hours))

    def answers(self, output_NW: Floats) -> Mapping[str, npt.NDArray[Any]]:
        """The three numbers of each horizon, and the horizons themselves, so that an answer can be read alone."""
        import numpy as np

        # (N, P, L) to three arrays (N, P).
        lower_NP, median_NP, upper_NP = np.moveaxis(sorted_levels(output_NW), 2, 0)
        hours_NP = np.tile(np.array(self.horizons_hours, np.float64), (len(output_NW), 1))
        return {"value": median_NP, "lower": lower_NP, "upper": upper_NP, "horizon_hours": hours_NP}

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(f"{level}, {part}" for part in self.part_names for level in self._interval.output_names)

    def errors(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The absolute error of each row's medians, as the mean over its horizons (N).

        The intervals have figures of their own in `metrics`."""
        import numpy as np

        errors_N: npt.NDArray[np.float64] = np.abs(sorted_levels(output_NW)[:, :, 1] - target_N).mean(axis=1)
        return errors_N

    def error(self, value: Any, label: Any) -> float:
        known = [(said, true) for said, true in zip(value, label, strict=True) if true is not None]
        return sum(abs(float(said) - float(true)) for said, true in known) / len(known)

    def metrics(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> Mapping[str, float | None]:
        """The figures of `Interval`, over all horizons together."""
        import numpy as np

        # Each horizon of a row counts as a row of its own: (N x P, 3).
        return self._interval.metrics(sorted_levels(output_NW).reshape(-1, LEVELS), np.ravel(target_N))

    def parts(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> Mapping[str, Mapping[str, float | None]]:
        """The figures of `Interval` for each horizon, by its name: `{"24 h": {"error": 81.2, …}}`."""
        levels_NPL = sorted_levels(output_NW)
        return {
            name: self._interval.metrics(levels_NPL[:, part], target_N[:, part])
            for part, name in enumerate(self.part_names)
        }

    def constant(self, value: Any) -> Mapping[str, Any]:
        """The number at every horizon; of a list each at its own."""
        values = value if isinstance(value, list) else [value] * len(self.horizons_hours)
        said = {"value": [float(one) for one in values], "horizon_hours": list(self.horizons_hours)}
        return {**self._interval.constant(0), **said}

    @property
    def _interval(self) -> Interval:
        """The task of one horizon alone."""
        return Interval(unit=self.unit, quantiles=self.quantiles)
