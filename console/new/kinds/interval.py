"""The kind of a label that is a number, answered with an interval. Only `--kind interval` proposes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from console.new.kinds.regression import Regression

if TYPE_CHECKING:
    from console.new.observed import Observed


@dataclass(frozen=True)
class Interval(Regression):
    """A number as in `Regression`, with the quantiles between which nine in ten labels lie."""

    name: ClassVar[str] = "interval"

    def is_likely(self, column: Observed) -> bool:  # noqa: ARG002 - a number is what is proposed for a number
        return False

    def settings(self, column: Observed) -> Mapping[str, Any]:  # noqa: ARG002 - the same for every label
        return {"quantiles": [0.05, 0.95]}
