"""Features as numbers: which columns of a model's input each declared feature has.

A number is its own column. Text of few words and booleans have one column of 0 and 1 for each of their categories.
What may be missing is all zeros there; a number that may be missing stands as NaN beside a column that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.errors import WorkloadError

if TYPE_CHECKING:
    from millrace.contract.schema import Column, Table

NUMBERS = ("int32", "int64", "float32", "float64")
Category = str | bool


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One declared feature."""

    name: str
    categories: tuple[Category, ...] = ()
    """In the order of their columns; none for a number."""
    optional: bool = False

    @property
    def is_plain(self) -> bool:
        """A number that is always there: the input holds it as it comes."""
        return not self.categories and not self.optional

    @property
    def width(self) -> int:
        """Columns of the input."""
        return len(self.categories) or (2 if self.optional else 1)


def plain(names: Sequence[str]) -> tuple[Feature, ...]:
    """Numbers that are always there."""
    return tuple(Feature(name=name) for name in names)


def width(features: Sequence[Feature]) -> int:
    """Columns of the input of a model of these features."""
    return sum(feature.width for feature in features)


def may_miss(features: Sequence[Feature]) -> bool:
    """Whether the input may hold NaN."""
    return any(feature.optional and not feature.categories for feature in features)


def encoding(table: Table, names: Sequence[str]) -> tuple[Feature, ...]:
    """The features of these names as the contract's `table` declares them.

    Raises WorkloadError for one that is neither a number nor a boolean nor text with validValues."""
    return tuple(_feature(table.column(name)) for name in names)


def _feature(column: Column) -> Feature:
    optional = not column.required
    if column.kind in NUMBERS:
        return Feature(name=column.name, optional=optional)
    if column.kind == "boolean":
        return Feature(name=column.name, categories=(False, True), optional=optional)
    words = tuple(value for value in column.allowed if isinstance(value, str))
    if column.kind == "string" and words:
        return Feature(name=column.name, categories=words, optional=optional)
    expected = "a feature that is a number, a boolean or text with validValues"
    raise WorkloadError(where="contract.yaml", field=column.name, expected=expected, came=f"a {column.kind}")
