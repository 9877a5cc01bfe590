"""Failed executions whose event Step Functions has delivered, so that people know of them: items `reported#<ARN>`.

    reported#arn:…:execution:…-train:7f = {"as_of": {"S": "1997-06-01T07:20:00Z"}}

The sweep compares them with the executions that did fail (`millrace.functions.sweep.failures`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millrace.state.item import Item
from millrace.state.table import StateTable


@dataclass(frozen=True, kw_only=True)
class ReportedFailure(Item, key="reported#{execution_arn}"):
    """A failed execution with an event. It is kept until the sweep has looked at the time of the event."""

    execution_arn: str
    as_of: datetime
    """The time of the event."""

    def forget(self, table: StateTable) -> None:
        """Delete the note."""
        # The condition keeps a note that was written since: the execution was redriven and has failed again.
        table.delete(self.sort_key(self.execution_arn), "as_of <= :as_of", as_of=self.as_of)
