"""The task `binary`: the answer is the probability of the positive class, and 1 if it reaches the threshold.

Example: `{"value": 1, "probability": 0.87, "confidence": 0.87}`. If the workload says what wrong answers cost, the
answer costs least on average: `{"value": 1, "probability": 0.3, "confidence": 0.3, "expected_cost": 3.5}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millrace.errors import WorkloadError
from millrace.tasks import metrics
from millrace.tasks.answer import EXPECTED_COST, check_probability
from millrace.tasks.costs import cost_field
from millrace.tasks.task import AnswerField, Objective, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Column
    from millrace.tasks.task import Floats
    from millrace.workload.predicted_label import PredictedLabel

EVEN = 0.5
"""The threshold at which the answer is always the likelier class."""


@dataclass(frozen=True, kw_only=True)
class Binary(Task):
    """`output_NW` is (N, 1): the probability of the positive class."""

    kind: ClassVar[str] = "binary"
    error_name: ClassVar[str] = "share of wrong answers"
    error_is_share: ClassVar[bool] = True

    positive: str | int | bool = 1
    """The value of the label that the answer 1 stands for."""
    threshold: float = EVEN
    """The answer is 1 if the probability is at least this."""
    costs: tuple[tuple[float, float], ...] = ()
    """What an answer costs: costs[label][answer]. Empty if nobody has said it."""
    names: tuple[str, ...] = field(default=(), compare=False)
    """What people call the classes 0 and 1; empty in a model from before they had names."""

    @property
    def answer(self) -> tuple[AnswerField, ...]:
        return (
            AnswerField(name="value", kind="integer", maximum=1),
            AnswerField(name="probability", kind="share"),
            AnswerField(name="confidence", kind="share"),
            *(cost_field(self.costs) if self.costs else ()),
        )

    @classmethod
    def declare(cls, prediction: PredictedLabel, label: Column) -> Self:
        """The task for a label that is a boolean or has two validValues, one of them the positive class.

        Raises WorkloadError for another label, and for a constant that is no probability."""
        # By type too: in Python True == 1, but a boolean label has no class 1.
        classes, positive = label.classes, prediction.positive
        if len(classes) != 2 or positive not in [value for value in classes if type(value) is type(positive)]:
            expected = f"two validValues (or a boolean), one of them the positive class {positive!r} of workload.yaml"
            raise WorkloadError(where="contract.yaml", field=label.name, expected=expected, came=list(classes))
        check_probability(prediction.constant)
        [other] = [value for value in classes if value != positive]
        names = (str(label.word(other)), str(label.word(positive)))
        if (costs := prediction.costs) is None:
            return cls(positive=positive, threshold=prediction.threshold, names=names)
        assert costs.false_positive is not None
        assert costs.false_negative is not None
        # With this probability both answers cost the same: (1 - p) · false_positive = p · false_negative.
        even = costs.false_positive / (costs.false_positive + costs.false_negative)
        amounts = ((0.0, costs.false_positive), (costs.false_negative, 0.0))
        return cls(positive=positive, threshold=even, costs=amounts, names=names)

    @property
    def objective(self) -> Objective:
        return Objective(
            loss="binary_cross_entropy_with_logits", activation="sigmoid", width=1, target="float32", is_calibrated=True
        )

    def targets(self, labels: pa.ChunkedArray) -> npt.NDArray[np.float32]:
        """1.0 where the label is the positive class, else 0.0."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        # `from_dlpack`, since pyarrow's `to_numpy` imports pandas where it is installed. `np.array` copies: Arrow's
        # memory is read-only, of which torch warns.
        is_positive = pc.equal(labels, self.positive).combine_chunks().cast(pa.float32())
        return np.array(np.from_dlpack(is_positive))

    def answers(self, output_NW: Floats) -> Mapping[str, npt.NDArray[Any]]:
        import numpy as np

        # In float64: whoever reads the JSON answer and compares the probability with the threshold gets this value.
        p_N = output_NW[:, 0].astype(np.float64)
        value_N = self.said(output_NW)
        found: dict[str, npt.NDArray[Any]] = {
            "value": value_N.astype(np.int32),
            "probability": p_N,
            "confidence": np.where(value_N, p_N, 1 - p_N),
        }
        if self.costs:
            found[EXPECTED_COST] = np.where(value_N, (1 - p_N) * self.costs[0][1], p_N * self.costs[1][0])
        return found

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.class_names[1:]

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.names or (f"not {self.positive}", str(self.positive))

    @property
    def words(self) -> Mapping[Any, str]:
        return {} if self.class_names == ("0", "1") else dict(enumerate(self.class_names))

    def errors(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        import numpy as np

        wrong_N: npt.NDArray[np.float64] = (self.said(output_NW) != (target_N > 0)).astype(np.float64)
        return wrong_N

    def error(self, value: Any, label: Any) -> float:
        return float(int(label == self.positive) != value)

    def metrics(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> Mapping[str, float | None]:
        """`error`, `accuracy`, `log_loss` (nats), `auc`, `ece` (expected calibration error), `recall` and `precision`.

        `recall` is the share of the positive class that is answered with 1. `precision` is the share of the answers 1
        that are right. Either is None if there is nothing to count."""

        p_N = output_NW[:, 0]
        wrong_N = self.errors(output_NW, target_N)
        is_positive_N, said_N = target_N > 0, self.said(output_NW)
        found = int((is_positive_N & said_N).sum())
        # Calibration looks at the likelier class, whatever the threshold: probabilities are calibrated, but a threshold
        # is chosen.
        bins = metrics.reliability(metrics.confidence(p_N), (p_N >= EVEN) == (target_N > 0), lowest=EVEN)
        return {
            "error": float(wrong_N.mean()),
            "accuracy": float(1 - wrong_N.mean()),
            "log_loss": metrics.log_loss(p_N, target_N),
            "auc": metrics.auc(p_N, target_N),
            "ece": metrics.ece(bins, rows=len(p_N)),
            "recall": float(found / is_positive_N.sum()) if is_positive_N.any() else None,
            "precision": float(found / said_N.sum()) if said_N.any() else None,
        }

    def constant(self, value: Any) -> Mapping[str, Any]:
        p = float(value)
        value = int(p >= self.threshold)
        found = {"value": value, "probability": p, "confidence": p if value else 1 - p}
        return found | ({EXPECTED_COST: None} if self.costs else {})

    def said(self, output_NW: Floats) -> npt.NDArray[np.bool_]:
        """Whether each answer is 1 (N), compared in float64 like the probability of the answer."""
        import numpy as np

        said_N: npt.NDArray[np.bool_] = output_NW[:, 0].astype(np.float64) >= self.threshold
        return said_N
