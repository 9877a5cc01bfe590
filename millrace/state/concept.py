"""How far the error of a version has added up above its usual one: item `concept#<version>`.

    concept#3 = {"level": {"S": "0.21"}, "as_of": {"S": "1997-06-08T06:00:00Z"}}

The monitor writes it; `millrace.monitoring.concept` says what the level means."""

from __future__ import annotations

from datetime import datetime

from millrace.state.table import StateTable
from millrace.timestamps import format_utc

PREFIX = "concept#"


class ConceptLevels:
    """The workload's items in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def read(self, version: str) -> float:
        """The version's level; 0 before its first window has got its labels."""
        item = self._table.get(f"{PREFIX}{version}")
        return float(item["level"]["S"]) if item else 0.0

    def put(self, version: str, level: float, *, as_of: datetime) -> bool:
        """Write the level. False, and nothing is written, if a later run has written it."""
        at = {"S": format_utc(as_of)}
        return self._table.put(
            f"{PREFIX}{version}",
            {"level": {"S": repr(level)}, "as_of": at},
            "attribute_not_exists(pk) OR as_of <= :as_of",
            {":as_of": at},
        )
