"""The interface of a kind of label, by which a proposal uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from millrace.evaluation.naive.rule import NaiveGate

if TYPE_CHECKING:
    from console.new.observed import Observed
    from millrace.contract.schema import Column


class LabelKind(Protocol):
    """A kind of label."""

    name: ClassVar[str]
    """The name of the kind, and of its task."""
    wanted: ClassVar[str]
    """Describes a column that suits the kind, for errors."""
    calibration: ClassVar[str]
    """The bound of the calibration gate; empty if an answer is no probability."""

    def suits(self, column: Observed) -> bool:
        """Whether the column can be such a label."""
        ...

    def is_likely(self, column: Observed) -> bool:
        """Whether the column is taken for such a label if no `--kind` is given."""
        ...

    def reason(self, column: Observed) -> str:
        """Why the column is taken for such a label."""
        ...

    def settings(self, column: Observed) -> Mapping[str, Any]:
        """Further keys of `prediction` in workload.yaml, with their proposed values: `{"quantiles": [0.05, 0.95]}`."""
        ...

    def column(self, column: Observed, unit: str) -> Column:
        """The label's column in the contract."""
        ...

    def horizon(self, hours: float, every_hours: float) -> float | list[float]:
        """The value of `horizon_hours` in workload.yaml for a label so many hours ahead.

        `every_hours` is the distance of the rows."""
        ...

    def naive_rule(self, lag_hours: float | None) -> NaiveGate:
        """The gate against the rule that answers with the label so many hours before.

        None gives the gate against a rule that looks at no earlier row."""
        ...

    def find_problem(self, values: Sequence[object]) -> str:
        """Why a model cannot be judged on labels of these values; "" if it can."""
        ...


def one_class(values: Sequence[object]) -> str:
    """What is wrong with the labels of a part if they are all equal; "" if they are not."""
    kinds = set(values)
    return f"only the class {next(iter(kinds))!r}" if len(kinds) == 1 else ""
