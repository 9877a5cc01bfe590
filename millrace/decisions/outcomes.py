"""Finds the decision that a label is about. `outcome_columns` joins many labels at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from millrace.contract.schema import PREDICTION_ID
from millrace.decisions.record import Decision
from millrace.timestamps import format_utc, parse_utc

if TYPE_CHECKING:
    from millrace.contract.schema import Table
    from millrace.workload.declaration import Prediction

Key = tuple[str, ...]
"""What a decision is about: the texts of its key's columns and of its event time."""
NOW = timedelta(0)
FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)
Label = Mapping[str, Any]
"""One row of the labels: the key's columns, the event time, the label and perhaps `prediction_id`."""


class DecisionIndex:
    """Finds the decision that a label is about, by its id, or by entity and event time."""

    def __init__(self, decisions: Iterable[Decision], *, prediction_spec: Prediction, table: Table) -> None:
        """`table` is the contract's table of the labels."""
        self._names = tuple(dict.fromkeys([*prediction_spec.key, prediction_spec.event_time]))
        self._event_time = prediction_spec.event_time
        self._kinds = {name: table.column(name).kind for name in self._names}
        self._by_id: dict[str, Decision] = {}
        self._by_key: dict[Key, list[Decision]] = {}
        for decision in sorted(decisions, key=_first):
            self._by_id.setdefault(decision.id, decision)
            if (key := self.key(decision)) is not None:
                self._by_key.setdefault(key, []).append(decision)

    def find(self, label: Label) -> Decision | None:
        """The decision that the label names by id, else the first one about its entity and event time.

        The first one counts because it was acted on. A label that names an id counts for that decision only: None if
        no decision has the id."""
        return next(iter(self.find_all(label)), None)

    def find_all(self, label: Label, *, ahead: timedelta = NOW) -> Sequence[Decision]:
        """The decision of `find`, then the later ones about the same entity and event time.

        `ahead` is how far the decision's row lies before its label. A label that names an id has one decision at most,
        and none if that row lies at another distance."""
        if name := label.get(PREDICTION_ID):
            named, at = self._by_id.get(name), label.get(self._event_time)
            if named is None:
                return ()
            is_it = not ahead or at is None or parse_utc(_text(at, "timestamp")) - named.event_time == ahead
            return (named,) if is_it else ()
        # The row lies `ahead` before its label. Earlier than the first moment that Python has there is no row.
        cells = {name: label[name] for name in self._names}
        if ahead:
            at = parse_utc(_text(cells[self._event_time], "timestamp"))
            if at - FIRST_MOMENT < ahead:
                return ()
            cells[self._event_time] = at - ahead
        return self._by_key.get(self._key(cells), ())

    def key(self, decision: Decision) -> Key | None:
        """What the decision is about; None if its cells are not as the contract says."""
        cells = {name: decision.key.get(name) for name in self._names}
        try:
            return self._key(cells | {self._event_time: decision.event_time})
        except ValueError:
            return None

    def _key(self, cells: Mapping[str, Any]) -> Key:
        return tuple(_text(cells[name], self._kinds[name]) for name in self._names)


def as_said(decision: Decision) -> Decision:
    """The decision with what the model said, if the naive rule answered in its place; any other as it is."""
    if (said := decision.withheld) is None:
        return decision
    return replace(decision, output=said.output, model_version=said.model_version, fallback=False, withheld=None)


def _first(decision: Decision) -> tuple[datetime, str]:
    return decision.inferred_at, decision.id


def _text(cell: Any, kind: str) -> str:
    """One text for each value, however JSON or Arrow wrote it. Raises ValueError for a text that is no time."""
    # A decision has its key from JSON ("1997-05-01T00:00:00Z", 1), a label has it from Arrow (a datetime, 1.0).
    if isinstance(cell, datetime):
        return format_utc(parse_utc(cell.isoformat()))
    if kind.startswith("timestamp") and isinstance(cell, str):
        return format_utc(parse_utc(cell))
    if isinstance(cell, date):
        return cell.isoformat()
    return repr(float(cell)) if kind in ("float32", "float64") and cell is not None else str(cell)
