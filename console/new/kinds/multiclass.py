"""The kind of a label that is one of several classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from console.new.kinds.binary import Binary

if TYPE_CHECKING:
    from console.new.observed import Observed

MOST_CLASSES = 200
MOST_NUMBERED = 20
"""Whole numbers of more different values are taken for amounts."""


@dataclass(frozen=True)
class Multiclass(Binary):
    """A label of three values or more: text or whole numbers. It has the gates of two classes."""

    name: ClassVar[str] = "multiclass"
    wanted: ClassVar[str] = f"a column of 3 to {MOST_CLASSES} classes: text or whole numbers"
    calibration: ClassVar[str] = "0.15"

    def suits(self, column: Observed) -> bool:
        return 3 <= column.distinct <= MOST_CLASSES and column.kind in ("string", "int64")

    def is_likely(self, column: Observed) -> bool:
        return self.suits(column) and (column.kind == "string" or column.distinct <= MOST_NUMBERED)

    def reason(self, column: Observed) -> str:
        what = "words" if column.kind == "string" else "whole numbers"
        return f"the label has {column.distinct} values that are {what}"
