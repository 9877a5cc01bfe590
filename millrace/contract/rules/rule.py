"""What a rule on the cells of a column is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from millrace.contract.reasons import Reason

if TYPE_CHECKING:
    from millrace.contract.kinds import Kind
    from millrace.contract.rules.column_cells import ColumnCells
    from millrace.contract.rules.declaration import Declaration


class Rule(Protocol):
    """A rule with its parameters: a frozen dataclass.

    Both forms must find the same cells: `of_column` in drops, many cells at once with Arrow; `of_cell` in
    prediction requests, one cell without Arrow. A test compares them for every rule of the catalogue."""

    reason: ClassVar[Reason]
    kinds: ClassVar[tuple[Kind, ...]]
    """Of columns that can have the rule."""
    examples: ClassVar[tuple[Mapping[str, Any], ...]]
    """Properties of `contract.yaml` that declare it, at least one for each kind; the test of both forms runs them."""
    cells: ClassVar[tuple[Any, ...]] = ()
    """Cells as JSON holds them that keep an example or break one, where the tests' values do neither."""
    custom_properties: ClassVar[tuple[str, ...]] = ()
    """The custom properties that declare it: each is a word of the Declaration."""
    judges_missing: ClassVar[bool] = False
    """True for a rule on cells that are missing; every other rule sees only cells with a value."""
    is_last: ClassVar[bool] = False
    """True where a cell that breaks this rule is judged by no further one."""

    @classmethod
    def declared(cls, declaration: Declaration) -> Iterator[Rule]:  # noqa: ARG003 - an implied rule is not declared
        """The rule as the contract declares it for a column of one of `kinds`; nothing where it does not."""
        yield from ()

    def check(self) -> None:
        """Raise ValueError where the parameters make no rule. Called at synth only: it may need a package."""
        return

    def of_cell(self, cell: Any) -> Iterator[str]:
        """What was expected, for each part of the rule that the cell breaks; `cell` is as `parse_cell` gives it."""
        ...

    def of_column(self, cells: ColumnCells) -> Iterator[tuple[str, Any]]:
        """What was expected, with a mask of the cells that break it; nothing for a column where all cells are good.

        The mask is an Arrow or numpy array of booleans; null counts as False."""
        ...
