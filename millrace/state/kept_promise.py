"""The confidence from which answers of the live version act, as late labels have moved it: item `promise`.

    promise = {"version": {"S": "3"}, "threshold": {"S": "0.9134"}}

The monitor writes it. Without the item, or for another version, the threshold of the evaluation holds."""

from __future__ import annotations

from dataclasses import dataclass

from millrace.state.table import StateTable

KEY = "promise"


@dataclass(frozen=True, kw_only=True)
class KeptPromise:
    """A version and its threshold now."""

    version: str
    threshold: float


class KeptPromises:
    """The workload's item in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def read(self) -> KeptPromise | None:
        item = self._table.get(KEY)
        return KeptPromise(version=item["version"]["S"], threshold=float(item["threshold"]["S"])) if item else None

    def put(self, kept: KeptPromise) -> None:
        """Write the threshold, whatever it was."""
        self._table.put(KEY, {"version": {"S": kept.version}, "threshold": {"S": repr(kept.threshold)}})
