"""What every task offers: how a label becomes a target, what the network is trained on, what an answer holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Column
    from millrace.tasks.declared import DeclaredFallback, DeclaredPrediction

    Floats = npt.NDArray[np.floating]

FieldKind = Literal["integer", "number", "share", "text"]


@dataclass(frozen=True, kw_only=True)
class AnswerField:
    """One field of an answer, in JSON, in a delivered file and in the table of decisions alike.

    Example: `AnswerField(name="probability", kind="share")` is a number from 0 to 1."""

    name: str
    kind: FieldKind
    optional: bool = False
    """Whether an answer of a model may lack it (a fallback's answer may always)."""
    maximum: int | None = None
    """Of an integer that is 0 or more."""
    length: int = 0
    """Of a field that is a list: how many cells each answer has; 0 for one cell that is no list."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What the network is trained on. Both functions are looked up by name, so that this module needs no torch."""

    loss: str
    """A function of `millrace.models.losses` or of `torch.nn.functional` that takes the network's output and the
    target, reduced by their mean."""
    activation: str
    """A function of `torch` that makes the output an answer: `sigmoid`, `softmax` (over W), `exp`; empty for none."""
    width: int
    """Numbers that the network gives per row."""
    target: Literal["float32", "int64"]
    is_calibrated: bool = False
    """Whether a temperature is fitted on the validation rows: the activation then takes output / temperature."""
    is_standardised: bool = False
    """Whether the network is trained on (target - mean) / deviation of the training rows.

    Its output is then scaled back to the target's unit, by weights of the graph."""
    levels: int = 1
    """How many numbers beside each other an answer holds sorted: 3 for an interval, whose median may cross its
    quantiles in the network's output; 1 for none."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the loss by name: `{"quantiles": (0.05, 0.5, 0.95)}` for `pinball`."""


class Task(Protocol):
    """A frozen dataclass whose fields are all that an answer depends on: they lie in the artefact as JSON.

    Axes: N rows, W numbers per row after the activation, P parts of an answer: the horizons of a forecast, the labels
    of a row that has several. The smaller an error, the better."""

    kind: ClassVar[str]
    """Its name in the catalogue."""
    error_name: ClassVar[str]
    """What `errors` is called on a page, with its unit: `share of wrong answers`."""
    error_is_share: ClassVar[bool]
    """Whether an error is a share of answers, 0 to 1, and not an amount in the label's unit."""

    @property
    def answer(self) -> tuple[AnswerField, ...]:
        """The fields of an answer; the first one is `value`, a list where an answer has parts."""
        ...

    @property
    def error_unit(self) -> str:
        """What an error counts, the label's unit: µg/m³; empty for a share, and where the contract names none."""
        ...

    @classmethod
    def declare(cls, prediction: DeclaredPrediction, label: Column) -> Self:
        """The task of a workload; raises WorkloadError when the label's column or the fallback does not suit it."""
        ...

    @property
    def objective(self) -> Objective: ...

    def targets(self, labels: pa.ChunkedArray) -> npt.NDArray[Any]:
        """What the network is to say (N), or (N, P) where labels are lists, of the objective's type.

        The labels are without nulls."""
        ...

    def answers(self, output_NW: Floats) -> Mapping[str, npt.NDArray[Any]]:
        """The answer's fields by name, each (N), or (N, length) of a list; text fields are arrays of objects."""
        ...

    @property
    def output_names(self) -> tuple[str, ...]:
        """What each of the W numbers is, for a person (W): `fan` for the probability of a class, `value, 24 h` for the
        median of a horizon."""
        ...

    def explained_output(self, output_NW: Floats) -> npt.NDArray[np.int64]:
        """Which of its W numbers an explanation of each row takes apart (N): the likeliest class or label, the median;
        of several horizons that of the last."""
        ...

    def errors(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The error of each row (N): 0 or 1 for classes, an amount in the label's unit for numbers; of an answer with
        parts the mean of theirs."""
        ...

    def error(self, value: Any, label: Any) -> float:
        """The error of one kept decision: its `value` against the label as the contract's column holds it.

        Of an answer with parts the label is a list; parts whose label is None are left out."""
        ...

    def metrics(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> Mapping[str, float | None]:
        """The figures of these rows; None where one cannot be computed (one class only). `error` is the mean error.

        Where gates judge by more: `ece` of a calibrated objective, `log_loss` where the error is a share of answers."""
        ...

    @property
    def part_names(self) -> tuple[str, ...]:
        """What the parts of an answer are called, in their order: `24 h`; empty where it has none."""
        ...

    def parts(self, output_NW: Floats, target_N: npt.NDArray[Any]) -> Mapping[str, Mapping[str, float | None]]:
        """The figures of each part of the answers, by its name: `{"24 h": {"error": 81.2, ...}}`.

        `error` is always among them, `log_loss` where the error is a share of answers. Empty without parts."""
        ...

    def fallback(self, declared: DeclaredFallback) -> Mapping[str, Any]:
        """The answer that the workload's `fallback` declares; every field None where it declares none."""
        ...
