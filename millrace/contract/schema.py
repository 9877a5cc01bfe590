"""The light model of a data contract: what the runtime needs of the Open Data Contract Standard."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeVar

from millrace.contract.kinds import FLOAT32_MAX, FLOATS, Kind, arrow_type
from millrace.contract.rules.allowed import Allowed
from millrace.contract.rules.finite import Finite
from millrace.contract.rules.required import Required
from millrace.contract.rules.rule import Rule

if TYPE_CHECKING:
    import pyarrow as pa

Feed = Literal["training", "scoring", "labels"]
FEEDS: tuple[Feed, ...] = ("training", "scoring", "labels")
LINE = "_line"
"""The row's line in its text file, or its row in its Parquet file, counted from 1."""
R = TypeVar("R", bound=Rule)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column and every rule on its cells."""

    name: str
    kind: Kind
    required: bool = False
    unique: bool = False
    label: bool = False
    """True for the column whose custom property `role` is `label`."""
    is_protected: bool = False
    """Whether it says who a person is or what the law protects of them (`role: protected`): no feature is proposed."""
    is_generated: bool = False
    """Of a time: whether ingestion fills it with that of the drop's object where a row has none (`generated`)."""
    is_input: bool = False
    """Of a label: whether its value is known with the row, since a later row's is predicted (property `input`)."""
    is_read_by_models: bool = False
    """Whether its numbers become tensors, which are of float32; the workload says so, not the contract."""
    unit: str = ""
    """What a number counts, for people (property `unit`): µg/m³."""
    rules: tuple[Rule, ...] = ()
    """Those that the contract declares, in the order of the catalogue, one of each class at most."""

    @property
    def is_expected(self) -> bool:
        """Whether a file without the column is refused whole."""
        return self.required and not self.is_generated

    @cached_property
    def checks(self) -> tuple[Rule, ...]:
        """Every rule on its cells: `rules` after those that `required` and a float kind imply."""
        required = (Required(),) if self.required else ()
        bounded = self.is_read_by_models and self.kind == "float64"
        finite = (Finite(largest=FLOAT32_MAX) if bounded else Finite(),) if self.kind in FLOATS else ()
        return (*required, *finite, *self.rules)

    @property
    def allowed(self) -> tuple[str | int, ...]:
        """The values that a cell may have, in the order of the contract; () where any may come."""
        found = self.find(Allowed)
        return found.values if found else ()

    def find(self, kind: type[R]) -> R | None:
        """The declared rule of this class, None without one."""
        return next((rule for rule in self.rules if isinstance(rule, kind)), None)


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


def arrow_schema(table: Table) -> pa.Schema:
    """The columns of `table` in order, all nullable: `required` is a rule, so a null gets its reason."""
    import pyarrow as pa

    return pa.schema([(column.name, arrow_type(column.kind)) for column in table.columns])


def parsed_schema(table: Table) -> pa.Schema:
    """The columns of `table` and then `_line` (int64)."""
    import pyarrow as pa

    return arrow_schema(table).append(pa.field(LINE, pa.int64()))


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

    def read_by_models(self, names: Collection[str]) -> Contract:
        """The same where models read the columns of these names."""

        def marked(table: Table) -> Table:
            columns = (replace(column, is_read_by_models=column.name in names) for column in table.columns)
            return replace(table, columns=tuple(columns))

        return replace(self, rows=marked(self.rows), labels=marked(self.labels))

    def table(self, feed: Feed) -> Table:
        """The table of this feed: `scoring` is `rows` without the label, unless that is an input too."""
        if feed == "labels":
            return self.labels
        return self.rows if feed == "training" or self.label.is_input else self.rows.without(self.label.name)
