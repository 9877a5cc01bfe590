"""The task `multilabel`: several yes-or-no labels of one row, each with its probability, and 1 if that is high enough.

Example: `{"value": [1, 0], "probability": [0.87, 0.1], "label": ["damp", "mould"]}`. Axes: N rows, P labels, W = P
numbers of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millrace.errors import WorkloadError
from millrace.tasks import metrics
from millrace.tasks.answer import check_probability
from millrace.tasks.binary import EVEN
from millrace.tasks.task import AnswerField, Objective, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Column
    from millrace.tasks.task import Floats
    from millrace.workload.predicted_label import PredictedLabel


@dataclass(frozen=True, kw_only=True)
class Multilabel(Task):
    """`output_NW` is (N, P): the probability of each label. One temperature calibrates all of them."""

    kind: ClassVar[str] = "multilabel"
    error_name: ClassVar[str] = "share of wrong labels"
    error_is_share: ClassVar[bool] = True

    labels: tuple[str, ...]
    """The names of the label columns, in the order of the network's outputs."""
    thresholds: tuple[float, ...]
    """For each label, the probability from which on its answer is 1."""

    @classmethod
    def declare(cls, prediction: PredictedLabel, label: Column) -> Self:
        """The task for at least two columns of booleans.

        `label` stands for all of them: the contract makes sure that all label columns are booleans. Raises
        WorkloadError for other labels, a threshold of an unknown label, and a constant that is no probability."""
        if len(prediction.labels) < 2:
            expected, came = "a list of two columns or more", prediction.label
            raise WorkloadError(where="workload.yaml", field="prediction.label", expected=expected, came=came)
        if label.kind != "boolean":
            raise WorkloadError(where="contract.yaml", field=label.name, expected="a boolean", came=f"a {label.kind}")
        if unknown := sorted(set(prediction.thresholds) - set(prediction.labels)):
            expected, field = f"some of the labels {', '.join(prediction.labels)}", "prediction.thresholds"
            raise WorkloadError(where="workload.yaml", field=field, expected=expected, came=unknown)
        check_probability(prediction.constant)
        thresholds = tuple(prediction.thresholds.get(name, EVEN) for name in prediction.labels)
        return cls(labels=prediction.labels, thresholds=thresholds)

    @property
    def answer(self) -> tuple[AnswerField, ...]:
        count = len(self.labels)
        return (
            AnswerField(name="value", kind="integer", maximum=1, length=count),
            AnswerField(name="probability", kind="share", length=count),
            AnswerField(name="label", kind="text", length=count),
        )

    @property
    def part_names(self) -> tuple[str, ...]:
        return self.labels

    @property
    def objective(self) -> Objective:
        width = len(self.labels)
        return Objective(
            loss="binary_cross_entropy_with_logits",
            activation="sigmoid",
            width=width,
            target="float32",
            is_calibrated=True,
        )

    def targets(self, labels: pa.ChunkedArray) -> npt.NDArray[np.float32]:
        """The targets (N, P): each label is a list of booleans, and true is 1.0."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        flat = pc.list_flatten(labels)
        whole = flat.combine_chunks() if isinstance(flat, pa.ChunkedArray) else flat
        return np.array(np.from_dlpack(whole.cast(pa.float32()))).reshape(-1, len(self.labels))

    def answers(self, output_NW: Floats) -> Mapping[str, npt.NDArray[Any]]:
        """The value and the probability of each label, and the labels' names, so that an answer can be read alone."""
        import numpy as np

        names_NP = np.tile(np.array(self.labels, dtype=object), (len(output_NW), 1))
        return {
            "value": self._said(output_NW).astype(np.int32),
            "probability": output_NW.astype(np.float64),
            "label": names_NP,
        }

    output_names = part_names

    def explained_output(self, output_NW: Floats) -> npt.NDArray[np.int64]:
        import numpy as np

        return np.asarray(output_NW.argmax(axis=1))

    def errors(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The share of each row's labels that are answered wrongly (N)."""
        import numpy as np

        errors_N: npt.NDArray[np.float64] = (self._said(output_NW) != (target_N > 0)).mean(axis=1, dtype=np.float64)
        return errors_N

    def error(self, value: Any, label: Any) -> float:
        known = [(said, true) for said, true in zip(value, label, strict=True) if true is not None]
        return sum(float(int(true) != said) for said, true in known) / len(known)

    def metrics(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> Mapping[str, float | None]:
        """The figures of `parts` as means over the labels that have them, and `all_right`.

        `all_right` is the share of the rows with every label right."""
        import numpy as np

        errors_N = self.errors(output_NW, target_N)
        found = list(self.parts(output_NW, target_N).values())
        means = {name: _mean([one[name] for one in found]) for name in found[0]}
        return {**means, "error": float(errors_N.mean()), "all_right": float(np.mean(errors_N == 0))}

    def parts(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> Mapping[str, Mapping[str, float | None]]:
        """The figures of each label by its name: `error`, `accuracy`, `log_loss`, `auc`, `f1`, `ece`, `base_rate`.

        `f1` is the harmonic mean of precision and recall. It is None for a label that neither occurs nor is answered
        with yes. `base_rate` is the share of the rows whose label is yes."""
        said_NP = self._said(output_NW)
        return {
            name: _figures(output_NW[:, part], said_NP[:, part], target_N[:, part])
            for part, name in enumerate(self.labels)
        }

    def constant(self, value: Any) -> Mapping[str, Any]:
        p = float(value)
        said = [int(p >= threshold) for threshold in self.thresholds]
        return {"value": said, "probability": [p] * len(self.labels), "label": list(self.labels)}

    def _said(self, output_NW: Floats) -> npt.NDArray[np.bool_]:
        """Whether each label is answered with yes (N, P)."""
        import numpy as np

        # In float64: whoever reads the JSON answer and compares a probability with its threshold gets this value.
        said_NP: npt.NDArray[np.bool_] = output_NW.astype(np.float64) >= np.array(self.thresholds)
        return said_NP


def _figures(p_N: Floats, said_N: npt.NDArray[np.bool_], y_N: npt.NDArray[Any]) -> dict[str, float | None]:
    """The figures of one label."""
    right_N = said_N == (y_N > 0)
    # Calibration looks at the likelier answer, whatever the threshold: probabilities are calibrated, thresholds chosen.
    bins = metrics.reliability(metrics.confidence(p_N), (p_N >= EVEN) == (y_N > 0), lowest=EVEN)
    # F1 = 2 × found / (labels that are yes + answers that are yes).
    found = int(((y_N > 0) & said_N).sum())
    named = int((y_N > 0).sum()) + int(said_N.sum())
    return {
        "error": float(1 - right_N.mean()),
        "accuracy": float(right_N.mean()),
        "log_loss": metrics.log_loss(p_N, y_N),
        "auc": metrics.auc(p_N, y_N),
        "f1": 2 * found / named if named else None,
        "ece": metrics.ece(bins, rows=len(p_N)),
        "base_rate": float((y_N > 0).mean()),
    }


def _mean(figures: list[float | None]) -> float | None:
    """The mean of the figures that are not None; None if all are."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) / len(known) if known else None
