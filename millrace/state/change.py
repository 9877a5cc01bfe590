"""Since when windows of a version are above a bound, by alarm: item `change#<version>`.

    change#3 = {"since": {"M": {"input-drift": {"S": "1997-04-30T00:00:00Z"}}}, "as_of": {"S": "1997-05-15T06:00:00Z"}}

The monitor writes it. The guard of a retraining counts the labels of rows since then: older ones say nothing of what
has changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc

PREFIX = "change#"


class Changes:
    """The workload's items in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def read(self, version: str) -> dict[str, datetime]:
        """By alarm the start of the first window above its bound; without alarms that are below again."""
        item = self._table.get(f"{PREFIX}{version}")
        return {alarm: parse_utc(at["S"]) for alarm, at in item["since"]["M"].items()} if item else {}

    def put(self, version: str, since: Mapping[str, datetime], *, as_of: datetime) -> bool:
        """Write all alarms of the version. False, and nothing is written, if a later run has written them."""
        at = {"S": format_utc(as_of)}
        return self._table.put(
            f"{PREFIX}{version}",
            {"since": {"M": {alarm: {"S": format_utc(start)} for alarm, start in since.items()}}, "as_of": at},
            "attribute_not_exists(pk) OR as_of <= :as_of",
            {":as_of": at},
        )
