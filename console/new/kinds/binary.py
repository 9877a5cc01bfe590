"""The kind of a label that is one of two classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from console.new.kinds.kind import one_class
from console.new.rules import column_of_classes
from millrace.evaluation.naive.base_rate import BaseRate
from millrace.evaluation.naive.rule import NaiveGate
from millrace.evaluation.naive.seasonal_naive import SeasonalNaive

if TYPE_CHECKING:
    from console.new.observed import Observed
    from millrace.contract.schema import Column


@dataclass(frozen=True)
class Binary:
    """A label of two values: text, whole numbers, or true and false."""

    name: ClassVar[str] = "binary"
    wanted: ClassVar[str] = "a column of two classes: text, whole numbers or true/false"
    calibration: ClassVar[str] = "0.15"

    def suits(self, column: Observed) -> bool:
        return column.distinct == 2 and column.kind in ("string", "int64", "boolean")

    is_likely = suits

    def reason(self, column: Observed) -> str:  # noqa: ARG002 - all kinds are called alike
        return "the label has two values"

    def settings(self, column: Observed) -> Mapping[str, Any]:  # noqa: ARG002
        return {}

    def column(self, column: Observed, unit: str) -> Column:  # noqa: ARG002 - a class has no unit
        return column_of_classes(column)

    def horizon(self, hours: float, every_hours: float) -> float | list[float]:  # noqa: ARG002
        return hours

    def naive_rule(self, lag_hours: float | None) -> NaiveGate:
        if lag_hours is None:
            return BaseRate(kind="base_rate", margin=0.02)
        return SeasonalNaive(kind="seasonal_naive", lag_hours=lag_hours, margin=0.01)

    def find_problem(self, values: Sequence[object]) -> str:
        return one_class(values)
