"""Failed executions whose event Step Functions has delivered, so that people know of them: items `reported#<ARN>`.

    reported#arn:…:execution:…-train:7f = {"as_of": {"S": "1997-06-01T07:20:00Z"}}

The sweep compares them with the executions that did fail (`millrace.functions.sweep.failures`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc

REPORTED = "reported#"


class ReportedFailures:
    """The failed executions with an event. Each is kept until the sweep has looked at the time of the event."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def note(self, execution_arn: str, *, as_of: datetime) -> None:
        """Note that the event of this time came. The same event a second time changes nothing."""
        self._table.put(f"{REPORTED}{execution_arn}", {"as_of": {"S": format_utc(as_of)}})

    def find(self) -> dict[str, datetime]:
        """The time of the event, by the execution's ARN."""
        return {arn: parse_utc(item["as_of"]["S"]) for arn, item in self._table.items(REPORTED).items()}

    def forget(self, found: Mapping[str, datetime], *, until: datetime) -> None:
        """Delete the notes up to the time `until`; `found` are all notes, from `find`."""
        for arn, as_of in found.items():
            if as_of <= until:
                # The condition keeps a note that was written since: the execution was redriven and has failed again.
                self._table.delete(f"{REPORTED}{arn}", "as_of <= :until", {":until": {"S": format_utc(until)}})
