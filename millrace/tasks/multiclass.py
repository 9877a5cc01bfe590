"""The task `multiclass`: the answer is the likeliest of several classes, with its probability.

Example: `{"value": "fan", "confidence": 0.87}`. If the workload says what wrong answers cost, the answer costs least on
average: `{"value": "fan", "confidence": 0.3, "expected_cost": 3.5}`. Axes: N rows, K classes, A = K answers, W = K
numbers of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millrace.errors import WorkloadError
from millrace.tasks import metrics
from millrace.tasks.answer import EXPECTED_COST, check_constant
from millrace.tasks.costs import cost_field, cost_matrix, expected_costs
from millrace.tasks.task import AnswerField, Objective, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Column
    from millrace.tasks.task import Floats
    from millrace.workload.predicted_label import PredictedLabel


@dataclass(frozen=True, kw_only=True)
class Multiclass(Task):
    """`output_NW` is (N, K): the probability of each class."""

    kind: ClassVar[str] = "multiclass"
    error_name: ClassVar[str] = "share of wrong answers"
    error_is_share: ClassVar[bool] = True

    classes: tuple[str | int, ...]
    """The classes in the order of the network's outputs. An answer names a class by its text: "3" for the class 3."""
    costs: tuple[tuple[float, ...], ...] = ()
    """What an answer costs: costs[label][answer], both in the order of the classes. Empty if nobody has said it."""
    names: tuple[str, ...] = field(default=(), compare=False)
    """What people call the classes, in their order; empty if each is called by its value."""

    @property
    def answer(self) -> tuple[AnswerField, ...]:
        value, confidence = AnswerField(name="value", kind="text"), AnswerField(name="confidence", kind="share")
        return (value, confidence, *cost_field(self.costs))

    @classmethod
    def declare(cls, prediction: PredictedLabel, label: Column) -> Self:
        """The task for a column of text or integers with at least three validValues.

        Raises WorkloadError for another label, and for a constant that is none of the classes."""
        if len(label.allowed) < 3:
            expected = "three validValues or more"
            raise WorkloadError(where="contract.yaml", field=label.name, expected=expected, came=list(label.allowed))
        classes = tuple(value for value in label.allowed if isinstance(value, str | int))
        check_constant(prediction.constant, f"one of {list(classes)}", lambda value: value in classes)
        costs = cost_matrix(prediction.costs, [str(name) for name in classes])
        return cls(classes=classes, costs=costs, names=label.names)

    @property
    def objective(self) -> Objective:
        width = len(self.classes)
        return Objective(loss="cross_entropy", activation="softmax", width=width, target="int64", is_calibrated=True)

    def targets(self, labels: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """The place of each label among the classes (N)."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        # For `from_dlpack` and the copy see `Binary.targets`.
        places = pc.index_in(labels.combine_chunks(), value_set=pa.array(self.classes).cast(labels.type))
        return np.array(np.from_dlpack(places.cast(pa.int64())))

    def answers(self, output_NW: Floats) -> Mapping[str, npt.NDArray[Any]]:
        import numpy as np

        names = np.array([str(name) for name in self.classes], dtype=object)
        if not self.costs:
            return {"value": names[output_NW.argmax(axis=1)], "confidence": output_NW.max(axis=1).astype(np.float64)}
        cost_NA, rows = expected_costs(output_NW, self.costs), np.arange(len(output_NW))
        said_N = cost_NA.argmin(axis=1)
        confidence_N = output_NW[rows, said_N].astype(np.float64)
        return {"value": names[said_N], "confidence": confidence_N, EXPECTED_COST: cost_NA[rows, said_N]}

    def said(self, output_NW: Floats) -> npt.NDArray[np.int64]:
        """The place of each answer among the classes (N): the likeliest one, or the one that costs least."""
        import numpy as np

        if self.costs:
            return np.asarray(expected_costs(output_NW, self.costs).argmin(axis=1))
        return np.asarray(output_NW.argmax(axis=1))

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.names or tuple(map(str, self.classes))

    class_names = output_names

    @property
    def words(self) -> Mapping[Any, str]:
        return dict(zip(map(str, self.classes), self.names, strict=False))

    def explained_output(self, output_NW: Floats) -> npt.NDArray[np.int64]:
        return self.said(output_NW)

    def errors(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        import numpy as np

        wrong_N: npt.NDArray[np.float64] = (self.said(output_NW) != target_N).astype(np.float64)
        return wrong_N

    def error(self, value: Any, label: Any) -> float:
        return float(str(label) != value)

    def metrics(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> Mapping[str, float | None]:
        """`error`, `accuracy`, `log_loss` (nats), `macro_recall` and `ece` (expected calibration error).

        `macro_recall` is the mean recall of the classes that occur among the labels (balanced accuracy)."""
        import numpy as np

        wrong_N = self.errors(output_NW, target_N)
        # Calibration looks at the likeliest class, whatever an answer costs.
        bins = metrics.reliability(output_NW.max(axis=1), output_NW.argmax(axis=1) == target_N, lowest=0.0)
        likelihood_N = output_NW[np.arange(len(target_N)), target_N].astype(np.float64)
        # Only classes that occur have a recall.
        recalls = [float((wrong_N[target_N == k] == 0).mean()) for k in np.unique(target_N)]
        return {
            "error": float(wrong_N.mean()),
            "accuracy": float(1 - wrong_N.mean()),
            "log_loss": abs(float(np.log(np.clip(likelihood_N, 1e-7, 1)).mean())),  # never -0.0
            "macro_recall": float(np.mean(recalls)),
            "ece": metrics.ece(bins, rows=len(wrong_N)),
        }

    def constant(self, value: Any) -> Mapping[str, Any]:
        return {"value": str(value), "confidence": None} | ({EXPECTED_COST: None} if self.costs else {})
