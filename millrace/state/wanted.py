"""The labels that people are asked for: item `wanted#<start>` of each window says which monitor run has chosen them.

    wanted#1997-05-07T00:00:00Z = {"report": {"S": "s3://…/electricity/monitor/run=1f0d9a52/report.json"},
                                   "until": {"S": "1997-05-22T06:00:00Z"}}

The report has each decision with the chance with which it was chosen; the window is judged by them later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from millrace.state.table import DELETE_AFTER, StateTable
from millrace.timestamps import format_utc, parse_utc

PREFIX = "wanted#"
KEPT = timedelta(days=400)
"""As long as the items of the review queue."""


@dataclass(frozen=True, kw_only=True)
class StoredChoice:
    """Where it stands which labels of a window were asked for."""

    report_uri: str
    until: datetime
    """When nobody is asked any more."""


class StoredChoices:
    """The workload's items in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def find(self, start: datetime) -> StoredChoice | None:
        """The choice for the window that starts then; None if no labels of it were asked for."""
        item = self._table.get(f"{PREFIX}{format_utc(start)}")
        return StoredChoice(report_uri=item["report"]["S"], until=parse_utc(item["until"]["S"])) if item else None

    def put(self, start: datetime, choice: StoredChoice) -> bool:
        """Write the choice. False, and nothing is written, if there is one: chances belong to the first."""
        return self._table.put(
            f"{PREFIX}{format_utc(start)}",
            {
                "report": {"S": choice.report_uri},
                "until": {"S": format_utc(choice.until)},
                DELETE_AFTER: {"N": str(int((choice.until + KEPT).timestamp()))},
            },
            "attribute_not_exists(pk)",
        )
