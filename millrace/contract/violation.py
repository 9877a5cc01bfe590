"""What is wrong with a row, as fields; the sentence for people is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.contract.reasons import Reason

if TYPE_CHECKING:
    from millrace.errors import DropError


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleViolation:
    """One rule that one row breaks."""

    reason: Reason
    column: str | None
    """The names joined by ", " for a key of several columns; None where the rule is on the whole line or drop."""
    expected: str
    got: str

    @property
    def sentence(self) -> str:
        """For example `demand: expected <= 1, got 17.5`."""
        where = f"{self.column}: " if self.column is not None else ""
        return f"{where}expected {self.expected}, got {self.got}"


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantinedRow:
    """One row that is not accepted, or a whole drop that cannot be read as rows."""

    line: int | None
    """Its line in the drop, counted from 1; None for a whole drop."""
    violations: tuple[RuleViolation, ...]
    """At least one; the first gives the row its reason."""
    raw: str
    """The row as JSON, or the text that could not be parsed."""

    @property
    def reason(self) -> Reason:
        return self.violations[0].reason

    @property
    def detail(self) -> str:
        """Every violation in one line."""
        return "; ".join(violation.sentence for violation in self.violations)


def whole_drop(error: DropError) -> QuarantinedRow:
    """The record of an object that cannot be read as rows; its bytes stay in the landing bucket."""
    violation = RuleViolation(reason=error.reason, column=None, expected=error.expected, got=error.got)
    return QuarantinedRow(line=None, violations=(violation,), raw="")


def truncate(value: object) -> str:
    """The value in at most 80 characters: strings and bytes in quotes, None as `nothing`."""
    text = "nothing" if value is None else repr(value) if isinstance(value, str | bytes) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
