"""What is known of the keys of a call's rows: pasts that they have not brought, and labels for the naive rule.

All keys of a call are looked up at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millrace.contract.kinds import parse_cell
from millrace.contract.row import KnownPast
from millrace.decisions.chain import Answerer, Output, repeated
from millrace.features.as_of import HOUR_US, time_us
from millrace.features.known_past import KeyedColumns, KeyRows, past_of, repeats_labels
from millrace.state.known_keys import StoredKeys

if TYPE_CHECKING:
    from millrace.contract.schema import Table
    from millrace.features.history import History
    from millrace.tasks.task import Task
    from millrace.workload.declaration import Workload

Row = Mapping[str, Any]


class KeyLookup:
    """Looks up the keys of one workload's rows."""

    def __init__(
        self, stored: StoredKeys, workload: Workload, table: Table, histories: Sequence[History], task: Task
    ) -> None:
        """`table` is the contract's of rows to score. The workload has known keys."""
        keyed = KeyedColumns.of(workload, histories)
        assert keyed is not None
        self._stored, self._keyed, self._histories = stored, keyed, histories
        self._kinds = {name: table.column(name).kind for name in keyed.entity}
        self._workload, self._task = workload, task
        self._nothing = KeyRows(keyed.event_time, dict.fromkeys(keyed.columns, ()), ())

    def fill(self, rows: Sequence[Row]) -> list[Row]:
        """The rows, each with the past of every history; a past that a row brings stays as it is.

        Of a key that nobody knows it is empty. A row whose key or time cannot be read stays as it came, to be refused.
        Raises ClientError or BotoCoreError if the state table cannot be read."""
        keys = {number: key for number, row in enumerate(rows) if self._lacks(row) and (key := self._key(row))}
        known = self._read(keys.values())
        return [
            self._filled(row, known.get(keys[number], self._nothing)) if number in keys else row
            for number, row in enumerate(rows)
        ]

    def rule(self, rows: Sequence[Row]) -> Answerer | None:
        """The naive rule that repeats an earlier label of a row's key, for these rows; None if it is not declared.

        Raises ClientError or BotoCoreError if the state table cannot be read."""
        if not repeats_labels(self._workload):
            return None
        keys = [key for row in rows if (key := self._key(row))]
        known = self._read(keys)
        return lambda row: self._repeated(row, known.get(self._key(row) or "", self._nothing))

    def _repeated(self, row: Row, known: KeyRows) -> Output | None:
        """The labels that the rule of the gates repeats. That at the row's own time is the row's."""
        prediction, at_us = self._workload.prediction, time_us(row, self._keyed.event_time)
        labels = [
            known.cell(prediction.label, at_us + round(hours * HOUR_US)) if hours else row.get(prediction.label)
            for hours in self._workload.gates.baseline.label_hours(prediction.horizons)
        ]
        return repeated(labels, prediction, self._task)

    def _read(self, keys: Iterable[str]) -> dict[str, KeyRows]:
        """What is known of the keys."""
        found = self._stored.find(list(keys), declared=self._keyed.digest)
        return {key: KeyRows.read(self._keyed.event_time, cells) for key, cells in found.items() if cells}

    def _lacks(self, row: Row) -> list[History]:
        return [history for history in self._histories if row.get(history.name) is None]

    def _key(self, row: Row) -> str | None:
        """The row's key; None if it cannot be read, or the row's time."""
        try:
            time_us(row, self._keyed.event_time)
            return self._keyed.key_of({name: parse_cell(row.get(name), kind) for name, kind in self._kinds.items()})
        except ValueError:
            return None

    def _filled(self, row: Row, known: KeyRows) -> Row:
        at_us = time_us(row, self._keyed.event_time)
        pasts: dict[str, KnownPast] = {history.name: past_of(history, at_us, known) for history in self._lacks(row)}
        return {**row, **pasts}
