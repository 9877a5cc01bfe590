"""The task `regression`: the answer is a number in the label's unit, `{"value": 61.2}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millrace.contract.kinds import NUMBERS
from millrace.errors import WorkloadError
from millrace.tasks.answer import check_constant, empty_answer
from millrace.tasks.task import AnswerField, Objective, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Column
    from millrace.tasks.task import Floats
    from millrace.workload.predicted_label import PredictedLabel


@dataclass(frozen=True, kw_only=True)
class Regression(Task):
    """`output_NW` is (N, 1): the answer in the label's unit.

    The network is trained on standardised labels; their mean and deviation are weights of the graph."""

    kind: ClassVar[str] = "regression"
    answer: ClassVar[tuple[AnswerField, ...]] = (AnswerField(name="value", kind="number"),)
    error_name: ClassVar[str] = "mean absolute error"
    error_is_share: ClassVar[bool] = False

    unit: str = ""
    """The label's unit; empty if the contract names none."""
    huber: float = 1.0
    """An error above this many deviations of the label counts in proportion, a smaller one by its square."""

    @classmethod
    def declare(cls, prediction: PredictedLabel, label: Column) -> Self:
        """The task for a column of numbers.

        Raises WorkloadError for another label, and for a constant that is no number."""
        if label.kind not in NUMBERS:
            raise WorkloadError(where="contract.yaml", field=label.name, expected="a number", came=f"a {label.kind}")
        check_constant(prediction.constant, "a number", lambda value: not isinstance(value, str))
        return cls(unit=label.unit, huber=prediction.huber)

    @property
    def error_unit(self) -> str:
        return self.unit

    @property
    def objective(self) -> Objective:
        options = {"beta": self.huber}
        return Objective(
            loss="smooth_l1_loss", activation="", width=1, target="float32", is_standardised=True, options=options
        )

    def targets(self, labels: pa.ChunkedArray) -> npt.NDArray[np.float32]:
        import numpy as np
        import pyarrow as pa

        # For `from_dlpack` and the copy see `Binary.targets`. Not safe: float32 may lack digits of the label.
        return np.array(np.from_dlpack(labels.combine_chunks().cast(pa.float32(), safe=False)))

    def answers(self, output_NW: Floats) -> Mapping[str, npt.NDArray[Any]]:
        import numpy as np

        return {"value": output_NW[:, 0].astype(np.float64)}

    @property
    def output_names(self) -> tuple[str, ...]:
        return ("value",)

    def errors(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The absolute error of each row's value (N); an interval has figures of its own in `metrics`."""
        import numpy as np

        errors_N: npt.NDArray[np.float64] = np.abs(self.answers(output_NW)["value"] - target_N)
        return errors_N

    def error(self, value: Any, label: Any) -> float:
        return abs(float(value) - float(label))

    def metrics(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> Mapping[str, float | None]:
        """`error` and `mae` (both the mean absolute error) and `rmse`, in the label's unit, and `r2`.

        `r2` is None if all labels are equal."""
        import numpy as np

        errors_N = self.errors(output_NW, target_N)
        spread = float(np.var(target_N.astype(np.float64)))
        square = float((errors_N**2).mean())
        return {
            "error": float(errors_N.mean()),
            "mae": float(errors_N.mean()),
            "rmse": square**0.5,
            "r2": 1 - square / spread if spread else None,
        }

    def constant(self, value: Any) -> Mapping[str, Any]:
        return empty_answer(self.answer) | {"value": float(value)}
