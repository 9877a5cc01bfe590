"""The interface of tasks: how a label becomes a target, what the network is trained on, and what an answer holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Column
    from millrace.workload.predicted_label import PredictedLabel

    Floats = npt.NDArray[np.floating]

FieldKind = Literal["integer", "number", "share", "text"]


@dataclass(frozen=True, kw_only=True)
class AnswerField:
    """One field of an answer. It is the same in JSON, in a delivered file and in the table of decisions.

    Example: `AnswerField(name="probability", kind="share")` is a number from 0 to 1."""

    name: str
    kind: FieldKind
    optional: bool = False
    """Whether a model's answer may have null here. The answer of a fallback always may."""
    maximum: int | None = None
    """For an integer: the largest value, where the smallest is 0; None for any integer."""
    length: int = 0
    """For a list: how many cells it has in each answer; 0 if the field is no list."""

    @property
    def most(self) -> int | None:
        """The largest number, where the smallest is 0; None for any number."""
        return 1 if self.kind == "share" else self.maximum


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What the network is trained on. Loss and activation are names, so that this module needs no torch."""

    loss: str
    """A function of `millrace.models.predictor` or `torch.nn.functional`.

    It takes the network's output and the target, and returns the mean loss of the rows."""
    activation: str
    """A function of `torch` that makes the network's output an answer; empty for none.

    It is `sigmoid`, `softmax` (over W) or `exp`."""
    width: int
    """W: how many numbers the network gives per row."""
    target: Literal["float32", "int64"]
    """The type of the targets: int64 for the place of a class, else float32."""
    is_calibrated: bool = False
    """Whether a temperature is fitted on the validation rows. The activation then takes output / temperature."""
    is_standardised: bool = False
    """Whether the network is trained on (target - mean) / deviation of the training rows.

    Weights of the graph then scale its output back to the target's unit."""
    levels: int = 1
    """How many successive numbers of the output an answer holds sorted; 1 for none.

    It is 3 for an interval: in the network's output the median may cross the quantiles."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """More arguments of the loss by name: `{"quantiles": (0.05, 0.5, 0.95)}` for `pinball`."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The least and the greatest number of an answer; None for any number.

        The graph clips to them: the float32 `Sigmoid` of ONNX Runtime 1.31.1 is 1.0000001 for some inputs near 17.9."""
        return (0.0, 1.0) if self.activation in ("sigmoid", "softmax") else None


class Task(Protocol):
    """A task is a frozen dataclass. Answers depend on its fields alone, and the artefact keeps these as JSON.

    By default an answer has neither parts nor classes, and an error no unit.

    Axes: N rows, W numbers per row after the activation, P parts of an answer. Parts are the horizons of a forecast, or
    the labels of a row with several labels. The smaller an error, the better."""

    kind: ClassVar[str]
    """The task's name in the catalogue."""
    error_name: ClassVar[str]
    """The name of `errors` on a page: `share of wrong answers`, `mean absolute error`."""
    error_is_share: ClassVar[bool]
    """Whether an error is a share of answers, 0 to 1, and not an amount in the label's unit."""

    @property
    def answer(self) -> tuple[AnswerField, ...]:
        """The fields of an answer. The first one is `value`; it is a list if an answer has parts."""
        ...

    @property
    def error_unit(self) -> str:
        """The unit of an error, such as µg/m³; empty for a share, and if the contract names no unit of the label."""
        return ""

    @classmethod
    def declare(cls, prediction: PredictedLabel, label: Column) -> Self:
        """The task of a workload. Raises WorkloadError if the label's column or the constant does not suit it."""
        ...

    @property
    def objective(self) -> Objective: ...

    def targets(self, labels: pa.ChunkedArray) -> npt.NDArray[Any]:
        """The targets of the network, of the objective's type: (N), or (N, P) if labels are lists.

        The labels must be without nulls."""
        ...

    def answers(self, output_NW: Floats) -> Mapping[str, npt.NDArray[Any]]:
        """The answers as one array for each field, by its name: (N), or (N, length) for a list.

        A text field is an array of objects."""
        ...

    @property
    def output_names(self) -> tuple[str, ...]:
        """The name of each of the W numbers, for a person.

        Examples: `fan` for the probability of that class, `value, 24 h` for the median at that horizon."""
        ...

    def explained_output(self, output_NW: Floats) -> npt.NDArray[np.int64]:
        """Which of the W numbers an explanation of each row takes apart (N).

        It is the likeliest class or label, or the median; for several horizons the median at the last one."""
        import numpy as np

        return np.full(len(output_NW), self.objective.width - 1 - self.objective.levels // 2)

    def errors(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The error of each row (N): 0 or 1 for classes, an amount in the label's unit for numbers.

        For an answer with parts, it is the mean of the errors of its parts."""
        ...

    def error(self, value: Any, label: Any) -> float:
        """The error of one kept decision: of its `value`, against the label as the contract's column holds it.

        For an answer with parts, the label is a list. Parts with a label of None are left out."""
        ...

    def metrics(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> Mapping[str, float | None]:
        """The figures of these rows by name; `error`, the mean error, is always among them.

        A figure that cannot be computed is None, for example `auc` with one class only. Gates also need `ece` if the
        objective is calibrated, and `log_loss` if the error is a share of answers."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes of which an answer is one; empty for other answers.

        One output of the network stands for the second of two classes, several outputs for a class each."""
        return ()

    @property
    def words(self) -> Mapping[Any, str]:
        """What people call each class, by the `value` that says so: `{0: "on time", 1: "late"}`.

        Empty for other answers, and if each class is called by its value."""
        return {}

    @property
    def part_names(self) -> tuple[str, ...]:
        """The names of the parts of an answer in their order, such as `24 h`; empty if an answer has no parts."""
        return ()

    def parts(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> Mapping[str, Mapping[str, float | None]]:
        """The figures of each part of the answers, by its name: `{"24 h": {"error": 81.2, ...}}`.

        `error` is always among them, and `log_loss` if the error is a share of answers. Empty without parts."""
        return {}

    def constant(self, value: Any) -> Mapping[str, Any]:
        """The answer that holds this constant: a probability, a class or a number. What it does not say is None."""
        ...
