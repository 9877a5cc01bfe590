"""The labels that people are asked for: item `wanted#<start>` of each window says which monitor run has chosen them.

    wanted#1997-05-07T00:00:00Z = {"report": {"S": "s3://…/electricity/monitor/run=1f0d9a52/report.json"},
                                   "until": {"S": "1997-05-22T06:00:00Z"}}

The report has each decision with the chance with which it was chosen; the window is judged by them later."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from millrace.state.item import NEW, Item
from millrace.state.table import Attribute, delete_after

KEPT = timedelta(days=400)
"""As long as the items of the review queue."""


@dataclass(frozen=True, kw_only=True)
class StoredChoice(Item, key="wanted#{start}", only_if=NEW):
    """Where it stands which labels of a window were asked for. The first one stays: chances belong to it."""

    start: datetime
    report_uri: str = field(metadata={"attribute": "report"})
    until: datetime
    """When nobody is asked any more."""

    @property
    def attributes(self) -> dict[str, Attribute]:
        return super().attributes | delete_after(self.until + KEPT)
