"""Failed executions that somebody was told of by Step Functions' event: items `reported#<execution>` (as_of)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc

REPORTED = "reported#"


class ReportedFailures:
    """The executions of whose failure Step Functions' event came, until the sweep has looked at that time."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def note(self, execution_arn: str, *, as_of: datetime) -> None:
        """The event of that time came; one that comes again changes nothing."""
        self._table.put(f"{REPORTED}{execution_arn}", {"as_of": {"S": format_utc(as_of)}})

    def find(self) -> dict[str, datetime]:
        """When the event came, by the execution's ARN."""
        return {arn: parse_utc(item["as_of"]["S"]) for arn, item in self._table.items(REPORTED).items()}

    def forget(self, found: Mapping[str, datetime], *, until: datetime) -> None:
        """Of what `find` gave, delete what was noted up to that time."""
        for arn, as_of in found.items():
            if as_of <= until:
                self._table.delete(f"{REPORTED}{arn}", "as_of <= :until", {":until": {"S": format_utc(until)}})
