"""What the function `lateness` answers."""

from __future__ import annotations

from typing import Literal

from millrace.messages.envelope import Message, Moment


class Age(Message):
    """Of the rows, or of the decisions that wait for labels."""

    of: Literal["rows", "labels"]
    newest: Moment | None
    """Event time of the newest row or label; None where there is none."""
    allowed_hours: float
    share: float
    """The age by what is allowed."""

    @property
    def metric(self) -> str:
        """`RowsAge` or `LabelsAge`, in CloudWatch."""
        return f"{self.of.capitalize()}Age"

    @property
    def is_late(self) -> bool:
        return self.share > 1


class Lateness(Message):
    """Of what the contract and the workload have agreed on."""

    ages: tuple[Age, ...]
