"""Find the past of each row among the other rows of its file, in the form in which a request carries it."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.contract.row import check_row
from millrace.contract.schema import Table
from millrace.files.lines import BOM

if TYPE_CHECKING:
    from millrace.features.history import History

Entity = tuple[Any, ...]
"""The values of the key columns without the event time."""
Entry = tuple[datetime, dict[str, Any]]
"""The event time of a row, and the row as an entry of a past."""
AsJson = Callable[[str, Any], Any]
"""Turns a column's name and its cell into the value that JSON holds."""


def read_pasts(path: Path, names: Sequence[str]) -> dict[int, dict[str, Any]]:
    """The pasts that the lines of a JSON lines file carry themselves: by line number from 1, then by the history's
    name.

    All of them are held in memory. A line that is not a JSON object is skipped: the file's reader refuses it later."""
    if not names:
        return {}
    with path.open("rb") as file:
        found = {line: _held(text.removeprefix(BOM), names) for line, text in enumerate(file, 1)}
    return {line: past for line, past in found.items() if past}


def _held(text: bytes, names: Sequence[str]) -> dict[str, Any]:
    """The fields of these names in the JSON object of a line; empty if the line is not a JSON object."""
    if not text.lstrip().startswith(b"{"):
        return {}
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {name: row[name] for name in names if name in row}


class FilePast:
    """The rows of a typed file by entity and time, in memory. A row that breaks the contract is in no past."""

    def __init__(self, typed: Path, table: Table, histories: Sequence[History], *, as_json: AsJson) -> None:
        import pyarrow.parquet as pq

        self._histories, self._as_json = histories, as_json
        self._entries: dict[str, dict[Entity, list[Entry]]] = {}
        for history in histories:
            known: dict[Entity, list[Entry]] = defaultdict(list)
            # Only the columns that the history reads are checked: a bad cell elsewhere in a row does not spoil the
            # past.
            read = Table(name=table.name, columns=tuple(table.column(name) for name in dict.fromkeys(history.columns)))
            for row in pq.read_table(typed, columns=list(read.names)).to_pylist():
                if not check_row({name: as_json(name, cell) for name, cell in row.items()}, read):
                    known[_entity(row, history)].append((row[history.event_time], self._entry(row, history)))
            for entries in known.values():
                entries.sort(key=_time)
            self._entries[history.name] = known

    def of(self, row: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """The past of a row by the history's name: the rows of its entity within the history's hours before it."""
        return {history.name: self._before(row, history) for history in self._histories}

    def _before(self, row: Mapping[str, Any], history: History) -> list[dict[str, Any]]:
        at, known = row[history.event_time], self._entries[history.name].get(_entity(row, history), [])
        if at is None:
            return []
        # `known` is sorted by time. The slice has the times t with at - hours <= t < at, so the row itself is not in
        # it.
        first = bisect_left(known, at - timedelta(hours=history.hours), key=_time)
        return [entry for _, entry in known[first : bisect_left(known, at, key=_time)]]

    def _entry(self, row: Mapping[str, Any], history: History) -> dict[str, Any]:
        return {name: self._as_json(name, row[name]) for name in (history.event_time, *history.history)}


def _entity(row: Mapping[str, Any], history: History) -> Entity:
    return tuple(row[name] for name in history.entity)


def _time(entry: Entry) -> datetime:
    return entry[0]
