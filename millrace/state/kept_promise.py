"""The confidence from which answers of a version act, as late labels have moved it: item `promise#<version>`.

    promise#3 = {"threshold": {"S": "0.9134"}, "as_of": {"S": "1997-06-01T06:00:00Z"}}

The monitor writes it. Without the item the threshold of the evaluation holds. Each version has its own, so that one
that comes back by a rollback comes back with the promise that its labels have left it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc

PREFIX = "promise#"


@dataclass(frozen=True, kw_only=True)
class KeptPromise:
    """A version and its threshold now."""

    version: str
    threshold: float
    as_of: datetime
    """The time that counted in the monitor's run."""


class KeptPromises:
    """The workload's items in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def read(self, version: str) -> KeptPromise | None:
        """What labels have made of this version's threshold; None if nothing."""
        item = self._table.get(f"{PREFIX}{version}")
        if not item:
            return None
        threshold, as_of = float(item["threshold"]["S"]), parse_utc(item["as_of"]["S"])
        return KeptPromise(version=version, threshold=threshold, as_of=as_of)

    def put(self, kept: KeptPromise) -> bool:
        """Write the threshold. False, and nothing is written, if a later run has written it."""
        as_of = {"S": format_utc(kept.as_of)}
        return self._table.put(
            f"{PREFIX}{kept.version}",
            {"threshold": {"S": repr(kept.threshold)}, "as_of": as_of},
            "attribute_not_exists(pk) OR as_of <= :as_of",
            {":as_of": as_of},
        )
