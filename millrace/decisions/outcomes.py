"""Decisions joined with the labels that came later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from millrace.decisions.record import Decision
from millrace.timestamps import moment, stamp

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.contract.schema import Table
    from millrace.workload.declaration import Prediction

PREDICTION_ID = "prediction_id"
Key = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A decision that a model made, and the truth once it is known."""

    decision: Decision
    label: int | None

    @property
    def is_wrong(self) -> bool:
        return self.label is not None and self.label != self.decision.output.value


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels by prediction id and by entity and moment."""

    by_id: Mapping[str, int]
    by_key: Mapping[Key, int]
    columns: tuple[str, ...]
    """What the keys are made of, in order."""


def read_labels(table: pa.Table, *, surface: Prediction, contract: Table) -> Labels:
    """The labels of a table with the key columns, the label and perhaps `prediction_id`; the first one counts."""
    names = dict.fromkeys([*surface.key, surface.event_time])
    columns = tuple(name for name in names if name in table.column_names)
    values = [int(value == surface.positive) for value in table.column(surface.label).to_pylist()]
    keys = [[_text(cell, contract.column(name).kind) for cell in table.column(name).to_pylist()] for name in columns]
    by_key: dict[Key, int] = {}
    for key, value in zip(zip(*keys, strict=True), values, strict=True):
        by_key.setdefault(key, value)
    by_id: dict[str, int] = {}
    if PREDICTION_ID in table.column_names:
        for name, value in zip(table.column(PREDICTION_ID).to_pylist(), values, strict=True):
            if name is not None:
                by_id.setdefault(name, value)
    return Labels(by_id=by_id, by_key=by_key, columns=columns)


def join(decisions: Iterable[Decision], labels: Labels, *, surface: Prediction, contract: Table) -> list[Outcome]:
    """One outcome per entity and moment that a model decided on; the first decision counts.

    A label finds its decision by prediction id, else by the entity's key and event time. Fallbacks, which
    no model made, have no outcome."""
    first: dict[Key, Decision] = {}
    every = dict.fromkeys([*surface.key, surface.event_time])
    for decision in sorted(decisions, key=lambda one: (one.inferred_at, one.id)):
        if not decision.fallback and decision.output.value is not None:
            first.setdefault(_key(decision, tuple(every), surface, contract), decision)
    return [
        Outcome(
            decision=decision,
            label=labels.by_id.get(decision.id, labels.by_key.get(_key(decision, labels.columns, surface, contract))),
        )
        for decision in first.values()
    ]


def latest_lines(decisions: Iterable[Decision]) -> list[Decision]:
    """One decision per id, its last line: a line may come twice."""
    return list({decision.id: decision for decision in decisions}.values())


def _key(decision: Decision, columns: Sequence[str], surface: Prediction, contract: Table) -> Key:
    return tuple(
        stamp(decision.event_time)
        if name == surface.event_time
        else _text(decision.key.get(name), contract.column(name).kind)
        for name in columns
    )


def _text(cell: Any, kind: str) -> str:
    """One text per value, however JSON or Arrow wrote it."""
    if isinstance(cell, datetime):
        return stamp(moment(cell.isoformat()))
    if kind.startswith("timestamp") and isinstance(cell, str):
        return stamp(moment(cell))
    if isinstance(cell, date):
        return cell.isoformat()
    return repr(float(cell)) if kind in ("float32", "float64") and cell is not None else str(cell)
