"""What every kind of label offers to a proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from millrace.evaluation.naive.rule import NaiveGate

if TYPE_CHECKING:
    from console.new.observed import Observed
    from millrace.contract.schema import Column


class LabelKind(Protocol):
    """The kind of a label; its name is that of the task."""

    name: ClassVar[str]
    wanted: ClassVar[str]
    """A column that suits it, for errors."""
    calibration: ClassVar[str]
    """The bound of the calibration gate; empty where an answer is no probability."""

    def suits(self, column: Observed) -> bool:
        """Whether the column can be such a label."""
        ...

    def is_likely(self, column: Observed) -> bool:
        """Whether the column is taken for such a label where nothing else is said."""
        ...

    def reason(self, column: Observed) -> str:
        """Why it is taken for one."""
        ...

    def settings(self, column: Observed) -> Mapping[str, Any]:
        """Further keys of `prediction` in workload.yaml, with what is proposed for them."""
        ...

    def column(self, column: Observed, unit: str) -> Column:
        """The label's column in the contract."""
        ...

    def horizon(self, hours: float, every_hours: float) -> float | list[float]:
        """What stands in workload.yaml for a label so many hours ahead, where rows lie `every_hours` apart."""
        ...

    def naive_rule(self, lag_hours: float | None) -> NaiveGate:
        """The gate against the label so many hours before; None: against a rule that looks at no row."""
        ...

    def find_problem(self, values: Sequence[object]) -> str:
        """Why a model cannot be judged on labels of these values; nothing where it can."""
        ...


def one_class(values: Sequence[object]) -> str:
    """What is wrong with the labels of a part where they are all equal."""
    kinds = set(values)
    return f"only the class {next(iter(kinds))!r}" if len(kinds) == 1 else ""
