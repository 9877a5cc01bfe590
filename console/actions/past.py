"""Rows as a request holds them: each with its past, which is found among the other rows of its file."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from millrace.contract.kinds import as_json
from millrace.features.history import History
from millrace.files.lines import BOM

Row = dict[str, Any]
Entry = tuple[datetime, Row]
"""The event time of a row, and the row as an entry of a past."""


def json_rows(rows: pa.Table) -> list[Row]:
    """The rows as a request holds them: times as ISO text, bytes as base64, a float32 as its shortest number."""
    for place, column in enumerate(rows.schema):
        if column.type == pa.float32():  # 0.1 and not 0.10000000149, as the file had it
            rows = rows.set_column(place, column.name, rows.column(place).cast(pa.string()).cast(pa.float64()))
    return [{name: as_json(cell) for name, cell in row.items()} for row in rows.to_pylist()]


def read_pasts(path: Path, histories: Sequence[History]) -> dict[int, Row]:
    """The pasts that the lines of a JSON lines file carry themselves: by line number from 1, then by the history's
    name.

    All of them are held in memory. A line that is not a JSON object is skipped: the file's reader refuses it later."""
    if not histories:
        return {}
    names = [history.name for history in histories]
    with path.open("rb") as file:
        found = {line: _held(text.removeprefix(BOM), names) for line, text in enumerate(file, 1)}
    return {line: past for line, past in found.items() if past}


def _held(text: bytes, names: Sequence[str]) -> Row:
    """The fields of these names in the JSON object of a line; empty if the line is not a JSON object."""
    if not text.lstrip().startswith(b"{"):
        return {}
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {name: row[name] for name in names if name in row}


class Pasts:
    """Rows that keep the contract, by entity and time, in memory."""

    def __init__(self, rows: pa.Table, histories: Sequence[History]) -> None:
        """`rows` has the columns of the histories. Of rows of an entity at the same time the last counts, as in
        `History.add_steps`."""
        self._known: dict[History, dict[tuple[Any, ...], list[Entry]]] = {}
        for history in histories:
            known: dict[tuple[Any, ...], dict[datetime, Row]] = defaultdict(dict)
            read = rows.select(list(dict.fromkeys((*history.entity, history.event_time)))).to_pylist()
            entries = json_rows(rows.select(list(dict.fromkeys((history.event_time, *history.history)))))
            for row, entry in zip(read, entries, strict=True):
                known[_entity(row, history)][row[history.event_time]] = entry
            self._known[history] = {entity: sorted(at.items(), key=_time) for entity, at in known.items()}

    def of(self, row: Mapping[str, Any]) -> Row:
        """The past of a typed row by the history's name: the rows of its entity within the history's hours before."""
        return {history.name: self._before(row, history) for history in self._known}

    def _before(self, row: Mapping[str, Any], history: History) -> list[Row]:
        at, known = row[history.event_time], self._known[history].get(_entity(row, history), [])
        if at is None:
            return []
        # The times t with at - hours <= t < at: the row itself is not among them. Where a gap begins there, the row
        # before it shows that the past is long enough.
        first = bisect_left(known, at - timedelta(hours=history.hours), key=_time)
        oldest = at - timedelta(hours=(history.steps - 1) * history.every_hours)
        first -= first > 0 and (first == len(known) or _time(known[first]) > oldest)
        return [entry for _, entry in known[first : bisect_left(known, at, key=_time)]]


def _entity(row: Mapping[str, Any], history: History) -> tuple[Any, ...]:
    return tuple(row[name] for name in history.entity)


def _time(entry: Entry) -> datetime:
    return entry[0]
