"""Labels find their decisions among parts of all decisions, as one label finds its decision among all at once."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from millrace.contract.kinds import Kind, arrow_type
from millrace.decisions import labelled
from millrace.decisions.columns import of_decisions
from millrace.decisions.labelled import SHAPE, LabelledDecisions
from millrace.decisions.record import Decision, canonical, to_line
from tests.fuzz import examples

NOON = datetime(1997, 1, 1, 12, tzinfo=UTC)
KINDS: dict[str, Kind] = {
    "at": "timestamp",
    "card": "string",
    "shop": "int64",
    "rate": "float64",
    "open": "boolean",
    "day": "date",
}
CELLS: dict[str, list[Any]] = {
    "card": ["a", "b", "", None],
    "shop": [1, 2, None],
    "rate": [0.5, 1.0, 1e-9],
    "open": [True, False],
    "day": [date(1997, 1, 1), date(1997, 1, 2)],
}
Label = dict[str, Any]


class History:
    """Random decisions of few rows, many of them repeated, and labels with one of few keys each."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.key = ("at", *self.random.sample(sorted(CELLS), self.random.randrange(4)))
        self.tells_missing = self.random.random() < 0.5
        about = {f"r-{number}": self.row() for number in range(self.random.randrange(1, 12))}
        self.decisions = [self.decision(name, about[name]) for name in self.random.choices(sorted(about), k=16)]
        names = [*about, "elsewhere", "", None, None, None]
        self.labels = [
            self.random.choice([*about.values(), self.row()]) | {"prediction_id": self.random.choice(names)}
            for _ in range(self.random.randrange(12))
        ]

    def row(self) -> Label:
        at = NOON.replace(tzinfo=None) + timedelta(seconds=self.random.randrange(3))
        return {name: at if name == "at" else self.random.choice(CELLS[name]) for name in self.key}

    def decision(self, name: str, row: Label) -> Decision:
        """One of several about the row, with one of two inputs and at one of two times."""
        said = {name: cell.isoformat() if isinstance(cell, date) else cell for name, cell in row.items()}
        return Decision(
            id=name,
            workload="electricity",
            event_time=row["at"].replace(tzinfo=UTC),
            key={column: cell for column, cell in said.items() if cell is not None or self.tells_missing},
            input=canonical({"price": self.random.randrange(2)}),
            output={"value": self.random.randrange(2)},
            model_version="1",
            phase="live",
            fallback=False,
            latency_ms=1.0,
            inferred_at=NOON + timedelta(seconds=self.random.randrange(2)),
        )

    def parts(self) -> list[pa.Table]:
        """The decisions in any order, some of them twice, in parts of any size."""
        whole = self.random.sample(self.decisions, len(self.decisions)) + self.decisions[:3]
        cuts = sorted(self.random.choices(range(len(whole) + 1), k=2))
        return [of_decisions(part, SHAPE) for part in (whole[: cuts[0]], whole[cuts[0] : cuts[1]], whole[cuts[1] :])]

    def first(self, label: Label) -> Decision | None:
        """The decision of one label, found one by one."""
        latest = {one.id: one for one in sorted(self.decisions, key=lambda one: (one.inferred_at, to_line(one)))}
        if label["prediction_id"]:
            return latest.get(label["prediction_id"])
        rows = [one for one in latest.values() if all(self.says(one, name) == label[name] for name in self.key)]
        return min(rows, key=lambda one: (one.inferred_at, one.id), default=None)

    def says(self, decision: Decision, name: str) -> Any:
        if name == "at":
            return decision.event_time.replace(tzinfo=None)
        cell = decision.key.get(name)
        return date.fromisoformat(str(cell)) if name == "day" else cell


def test_labels_find_what_each_of_them_would_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled, "GROUP_ROWS", 5)
    for history in map(History, range(examples(1000))):
        fields = [(name, arrow_type(KINDS[name])) for name in history.key]
        labels = pa.Table.from_pylist(history.labels, pa.schema([*fields, ("prediction_id", pa.string())]))
        found = LabelledDecisions(
            labels,
            prediction_spec=SimpleNamespace(key=history.key, event_time="at"),  # type: ignore[arg-type]
            table=SimpleNamespace(column=lambda name: SimpleNamespace(kind=KINDS[name])),  # type: ignore[arg-type]
            folder=tmp_path,
        )
        for part in history.parts():
            found.add(part)
        said = {row["label"]: (row["key"], row["input"]) for part in found.parts() for row in part.to_pylist()}
        one_by_one = {place: history.first(label) for place, label in enumerate(history.labels)}
        assert said == {place: (canonical(one.key), one.input) for place, one in one_by_one.items() if one}
