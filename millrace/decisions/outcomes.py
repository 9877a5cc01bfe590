"""Joins decisions with the labels that come later: which label belongs to which decision, and how wrong it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from millrace.contract.schema import ARRIVED, PREDICTION_ID
from millrace.decisions.record import Decision
from millrace.timestamps import format_utc, parse_utc

if TYPE_CHECKING:
    from millrace.contract.schema import Table
    from millrace.tasks.task import Task
    from millrace.workload.declaration import Prediction

Key = tuple[str, ...]
"""What a decision is about: the texts of its key's columns and of its event time."""
NOW = timedelta(0)
FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)
ENOUGH_PARTS = 0.9
"""If a decision has several labels, this share of them must be known before its error counts, 0 to 1.

Not all need be known: one hour that is missing in a series is a label of every forecast that reaches over it."""
Label = Mapping[str, Any]
"""One row of the labels: the key's columns, the event time, the label and perhaps `prediction_id`."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A decision that a model made, and the truth once it is known."""

    decision: Decision
    label: Any | None
    """The label; None if it has not come. A list if the decision has several, with None for one that has not come."""
    error: float | None
    """The error as the task counts it; None without a label, or if too few of several are known."""
    weight: float = 1.0
    """How many rows it stands for, if only some labels were asked for."""
    labelled_at: datetime | None = None
    """When its first label came; None without a label, or if that is not recorded."""


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

    def find(self, label: Label, *, ahead: timedelta = NOW) -> Decision | None:
        """The decision that the label names by id, else the first one about its entity and event time.

        The first one counts because it was acted on. `ahead` is how far the decision's row lies before its label. A
        label that names an id counts for that decision only. Returns None if no decision has the id, or if, with
        `ahead`, its row lies at another distance."""
        return next(iter(self.find_all(label, ahead=ahead)), None)

    def find_all(self, label: Label, *, ahead: timedelta = NOW) -> Sequence[Decision]:
        """The decision of `find`, then the later ones about the same entity and event time.

        A label that names an id has one decision at most."""
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


def join(
    decisions: Iterable[Decision], labels: Iterable[Label], *, prediction_spec: Prediction, table: Table, task: Task
) -> list[Outcome]:
    """One outcome for each entity and event time that a model decided on. The first decision counts.

    A label counts for this first decision, even if it names a later one. Labels that name a decision go before those
    that do not. Fallbacks have no outcome, since no model made them. `table` is the contract's table of the labels."""
    kept = list(decisions)
    index = DecisionIndex(kept, prediction_spec=prediction_spec, table=table)
    truth: dict[Key | None, Any] = {}
    came: dict[Key | None, datetime] = {}
    # The truth about each key. Labels that name a decision come first (False sorts before True), and `_learn` keeps the
    # first that it hears: a second label changes nothing.
    for label in sorted(labels, key=lambda label: not label.get(PREDICTION_ID)):
        for part, hours in enumerate(prediction_spec.horizons):
            if (found := index.find(label, ahead=timedelta(hours=hours))) is not None:
                _learn(truth, key := index.key(found), label, part, prediction_spec)
                if (at := label.get(ARRIVED)) is not None:
                    came[key] = min(at, came.get(key, at))
    # The first decision of a model about each key.
    first: dict[Key | None, Decision] = {}
    for decision in sorted(kept, key=_first):
        if not decision.fallback and decision.value is not None:
            first.setdefault(index.key(decision), decision)
    return [
        replace(_outcome(decision, truth.get(key), task), labelled_at=came.get(key)) for key, decision in first.items()
    ]


def _learn(truth: dict[Key | None, Any], key: Key | None, label: Label, part: int, prediction_spec: Prediction) -> None:
    """Add what the label says about its decision, unless it is known: all label columns, or one of several horizons."""
    if not prediction_spec.horizons_hours:
        cells = [label[name] for name in prediction_spec.label_columns]
        truth.setdefault(key, cells if prediction_spec.labels else cells[0])
    elif label.get(prediction_spec.event_time) is not None:  # which horizon it is only its time says
        known = truth.setdefault(key, [None] * len(prediction_spec.horizons))
        known[part] = label[prediction_spec.label] if known[part] is None else known[part]


def _outcome(decision: Decision, label: Any, task: Task) -> Outcome:
    parts = label if isinstance(label, list) else [label]
    is_known = sum(one is not None for one in parts) >= ENOUGH_PARTS * len(parts)
    return Outcome(decision=decision, label=label, error=task.error(decision.value, label) if is_known else None)


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
