"""The answer of the function `lateness`: how old rows and labels are, compared with what is allowed."""

from __future__ import annotations

from typing import Literal

from millrace.messages.envelope import Message, Moment


class Age(Message):
    """The age of the newest row, or of the oldest decisions that wait for labels.

    {"of": "rows", "newest": "1997-06-28T23:30:00Z", "allowed_hours": 48.0, "share": 1.11}"""

    of: Literal["rows", "labels"]
    newest: Moment | None
    """The event time of the newest row or label. None if there is none."""
    allowed_hours: float
    share: float
    """The age ÷ the allowed age; above 1 it is late."""

    @property
    def metric(self) -> str:
        """The metric's name in CloudWatch: `RowsAge` or `LabelsAge`."""
        return f"{self.of.capitalize()}Age"

    @property
    def is_late(self) -> bool:
        return self.share > 1


class Lateness(Message):
    """The answer: an age for rows if the contract limits it, and one for labels if `workload.yaml` does.

    {"ages": [{"of": "rows", …}, {"of": "labels", …}]}"""

    ages: tuple[Age, ...]
