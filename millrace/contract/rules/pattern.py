"""A text has a match of a regular expression in RE2's syntax."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from millrace.contract.reasons import Reason
from millrace.contract.rules.rule import Rule

if TYPE_CHECKING:
    from millrace.contract.kinds import Kind
    from millrace.contract.rules.column_cells import ColumnCells
    from millrace.contract.rules.declaration import Declaration


@dataclass(frozen=True)
class Pattern(Rule):
    """The expression may match anywhere in the text, as in JSON schema: `^` and `$` bind it to the whole text.

    Arrow's engine is RE2, so `of_cell` uses RE2 too and not `re`. The two differ even in patterns that both know: in
    `$` before a last newline, and in `\\d` and `\\w` beyond ASCII. And `re` needs exponential time for some patterns,
    such as `^(a+)+$` on 35 letters. RE2 takes time linear in the text, and has neither lookaround nor
    backreferences."""

    reason: ClassVar[Reason] = Reason.PATTERN
    kinds: ClassVar[tuple[Kind, ...]] = ("string",)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"logicalTypeOptions": {"pattern": "^[a-c]$"}},
        {"logicalTypeOptions": {"pattern": r"\d|\w\w"}},
        {"quality": [{"metric": "invalidValues", "arguments": {"pattern": "^.b*$"}, "mustBe": 0}]},
    )

    expression: str

    @classmethod
    def declared(cls, declaration: Declaration) -> Iterator[Pattern]:
        expression = declaration.take("pattern")
        if expression is None:
            return
        if not isinstance(expression, str):
            declaration.refuse("pattern", "a regular expression", expression)
        yield cls(expression)

    def check(self) -> None:
        import re2

        try:
            _ = self._compiled
        except re2.error as error:
            message = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
            raise ValueError(f"a regular expression of RE2 ({message})") from None

    def of_cell(self, cell: Any) -> Iterator[str]:
        if not self._compiled.search(cell):
            yield self.expression

    def of_column(self, cells: ColumnCells) -> Iterator[tuple[str, Any]]:
        import pyarrow.compute as pc

        yield self.expression, pc.invert(pc.match_substring_regex(cells.cells, self.expression))

    @cached_property
    def _compiled(self) -> Any:
        import re2

        options = re2.Options()
        options.log_errors = False  # RE2 would also write a bad pattern to stderr; `check` reports it
        return re2.compile(self.expression, options)
