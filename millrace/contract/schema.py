"""The light model of a data contract: what the runtime needs of the Open Data Contract Standard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

Feed = Literal["training", "scoring", "labels"]
FEEDS: tuple[Feed, ...] = ("training", "scoring", "labels")
Kind = Literal[
    "int32",
    "int64",
    "float32",
    "float64",
    "string",
    "binary",
    "boolean",
    "date",
    "timestamp",
    "timestamp_utc",
]
NUMBERS: tuple[Kind, ...] = ("int32", "int64", "float32", "float64")
FLOATS: tuple[Kind, ...] = ("float32", "float64")
Bound = int | float | date | datetime
Value = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column and every rule on its cells."""

    name: str
    kind: Kind
    required: bool = False
    unique: bool = False
    label: bool = False
    """True for the column whose custom property `role` is `label`."""
    minimum: Bound | None = None
    maximum: Bound | None = None
    exclusive_minimum: Bound | None = None
    exclusive_maximum: Bound | None = None
    min_length: int | None = None
    """Characters of a string, bytes of a binary."""
    max_length: int | None = None
    pattern: str | None = None
    """A regular expression that is searched for, as in JSON schema."""
    allowed: tuple[Value, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Table:
    """The columns of one feed, in order, and its rules on rows together."""

    name: str
    columns: tuple[Column, ...]
    keys: tuple[tuple[str, ...], ...] = ()
    """Each a set of columns whose values together occur once."""
    minimum_rows: int = 0
    maximum_rows: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column; raises KeyError when the table has none of that name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def without(self, name: str) -> Table:
        """The same table without one column and without the keys that name it."""
        return Table(
            name=self.name,
            columns=tuple(column for column in self.columns if column.name != name),
            keys=tuple(key for key in self.keys if name not in key),
            minimum_rows=self.minimum_rows,
            maximum_rows=self.maximum_rows,
        )


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The two tables that every workload declares, and the digest of what was declared."""

    rows: Table
    labels: Table
    digest: str
    """SHA-256 of the document in canonical JSON: comments and layout do not change it."""

    @property
    def label(self) -> Column:
        """The label's column in `rows`."""
        return next(column for column in self.rows.columns if column.label)

    def table(self, feed: Feed) -> Table:
        """What a drop of this feed must hold: `scoring` is `rows` without the label."""
        if feed == "labels":
            return self.labels
        return self.rows if feed == "training" else self.rows.without(self.label.name)
