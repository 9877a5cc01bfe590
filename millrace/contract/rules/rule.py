"""What a rule on the cells of a column has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from millrace.contract.reasons import Reason

if TYPE_CHECKING:
    from millrace.contract.kinds import Kind
    from millrace.contract.rules.column_cells import ColumnCells
    from millrace.contract.rules.declaration import Declaration


class Rule(Protocol):
    """A rule with its parameters, as a frozen dataclass.

    A rule has two forms, which must find the same cells. `of_column` judges drops: many cells at once, with Arrow.
    `of_cell` judges prediction requests: one cell, without Arrow. A test compares the two for every rule of the
    catalogue."""

    reason: ClassVar[Reason]
    kinds: ClassVar[tuple[Kind, ...]]
    """The kinds of columns that can have the rule."""
    examples: ClassVar[tuple[Mapping[str, Any], ...]]
    """Properties of `contract.yaml` that declare the rule, at least one for each kind. The test of both forms runs
    them."""
    cells: ClassVar[tuple[Any, ...]] = ()
    """Further cells for that test, as JSON holds them: cells that keep or break an example, if the test has none."""
    custom_properties: ClassVar[tuple[str, ...]] = ()
    """The custom properties that declare the rule; each is a word of the Declaration."""
    judges_missing: ClassVar[bool] = False
    """Whether the rule judges missing cells; every other rule sees only cells with a value."""
    is_last: ClassVar[bool] = False
    """Whether no further rule judges a cell that breaks this one."""

    @classmethod
    def declared(cls, declaration: Declaration) -> Iterator[Rule]:  # noqa: ARG003 - an implied rule is not declared
        """The rule as the contract declares it for a column of one of `kinds`; nothing if it does not declare it."""
        yield from ()

    def check(self) -> None:
        """Raise ValueError if the parameters make no rule. Only synth calls this, so it may need a package."""
        return

    def of_cell(self, cell: Any) -> Iterator[str]:
        """What was expected, for each part of the rule that the cell breaks. `cell` is as `parse_cell` returns it."""
        ...

    def of_column(self, cells: ColumnCells) -> Iterator[tuple[str, Any]]:
        """What was expected and a mask of the cells that break it, for each broken part of the rule.

        Nothing, or a mask without a True, if all cells are good. The mask is an Arrow or numpy array of booleans; null
        counts as False."""
        ...
