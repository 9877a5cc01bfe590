"""Labels find their decisions among parts of all decisions, as one label finds its decision among all at once."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.contract.kinds import Kind, arrow_type
from millrace.datasets.label_evidence import answers_of
from millrace.decisions import labelled
from millrace.decisions.columns import OUTPUT, ColumnShape, of_decisions
from millrace.decisions.labelled import SHAPE, LabelledDecisions
from millrace.decisions.outcome_columns import join
from millrace.decisions.record import Decision, Withheld, canonical, to_line
from millrace.tasks.binary import Binary
from tests import builders
from tests.fuzz import examples

NOON = datetime(1997, 1, 1, 12, tzinfo=UTC)
KINDS: dict[str, Kind] = {
    "at": "timestamp",
    "card": "string",
    "shop": "int64",
    "rate": "float32",
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
TABLE: Any = SimpleNamespace(column=lambda name: SimpleNamespace(kind=KINDS[name]))
Label = dict[str, Any]


def spec_of(key: tuple[str, ...]) -> Any:
    return SimpleNamespace(key=key, event_time="at", entity=tuple(name for name in key if name != "at"))


class History:
    """Random decisions of few rows, many of them repeated, and labels with one of few keys each."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.key = ("at", *self.random.sample(sorted(CELLS), self.random.randrange(4)))
        self.tells_missing = self.random.random() < 0.5
        self.about = about = {f"r-{number}": self.row() for number in range(self.random.randrange(1, 12))}
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
        said |= {"shop": str(said["shop"])} if said.get("shop") and name == "r-1" else {}
        return builders.decision(
            id=name,
            event_time=row["at"].replace(tzinfo=UTC),
            key={column: cell for column, cell in said.items() if cell is not None or self.tells_missing},
            input=canonical({"price": self.random.randrange(2)}),
            output={"value": self.random.randrange(2)},
            latency_ms=1.0,
            inferred_at=NOON + timedelta(seconds=self.random.randrange(2)),
        )

    def parts(self, shape: ColumnShape = SHAPE) -> list[pa.Table]:
        """The decisions in any order, some of them twice, in parts of any size."""
        whole = self.random.sample(self.decisions, len(self.decisions)) + self.decisions[:3]
        cuts = sorted(self.random.choices(range(len(whole) + 1), k=2))
        return [of_decisions(part, shape) for part in (whole[: cuts[0]], whole[cuts[0] : cuts[1]], whole[cuts[1] :])]

    def table(self, *more: tuple[str, pa.DataType]) -> pa.Table:
        """The labels, with these columns too."""
        fields = [(name, arrow_type(KINDS[name])) for name in self.key]
        return pa.Table.from_pylist(self.labels, pa.schema([*fields, ("prediction_id", pa.string()), *more]))

    def first(self, label: Label) -> Decision | None:
        """The decision of one label, found one by one."""
        latest = {one.id: one for one in self.latest()}
        if label["prediction_id"]:
            return latest.get(label["prediction_id"])
        rows = [one for one in latest.values() if all(self.says(one, name) == label[name] for name in self.key)]
        return min(rows, key=lambda one: (one.inferred_at, one.id), default=None)

    def answered(self) -> float:
        """Give the decisions answers, some of them of nobody or of the naive rule, and inputs of any kind; and labels
        of their rows, so many hours ahead."""
        draw = self.random
        ahead = draw.choice([0, 1])
        cells = [
            draw.choice([[1, 2.5, 1e300], [0, None, 2], ["a", "b", True], [{"object": "a"}], range(40)]) for _ in "ab"
        ]
        for place, one in enumerate(self.decisions):
            output = {"value": draw.randrange(2), "confidence": draw.choice([0.0, 0.4, 0.9, 1.0])}
            nobody = {"output": dict.fromkeys(output), "fallback": True}
            more: dict[str, Any] = draw.choice(
                [{}, {}, {}, nobody, nobody | {"withheld": Withheld(model_version="2", output=output)}]
            )
            row = {name: draw.choice(some) for name, some in zip("ab", cells, strict=True)}
            at = one.inferred_at + timedelta(microseconds=place)
            self.decisions[place] = replace(one, input=canonical(row), inferred_at=at, **({"output": output} | more))
        for label in self.labels:
            name, row = draw.choice([*self.about.items(), ("elsewhere", self.row())])
            named = {"prediction_id": draw.choice([name, "", None]), "y": draw.choice([0, 1, 1, None])}
            label |= row | named | {"at": row["at"] + timedelta(seconds=ahead)}
        return ahead / 3600

    def latest(self) -> list[Decision]:
        """The decision of each id that counts."""
        return [
            *{one.id: one for one in sorted(self.decisions, key=lambda one: (one.inferred_at, to_line(one)))}.values()
        ]

    def says(self, decision: Decision, name: str) -> Any:
        if name == "at":
            return decision.event_time.replace(tzinfo=None)
        cell = decision.key.get(name)
        if name == "shop" and isinstance(cell, str):
            return None  # as if it were missing: it is not of the column's type
        return date.fromisoformat(str(cell)) if name == "day" else cell


def test_labels_find_what_each_of_them_would_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled, "GROUP_ROWS", 5)
    for history in map(History, range(examples(1000))):
        labels = history.table()
        found = LabelledDecisions(
            labels,
            prediction_spec=spec_of(history.key),
            table=TABLE,
            folder=tmp_path,
        )
        for part in history.parts():
            found.add(part)
        said = {row["label"]: (row["key"], row["input"]) for part in found.parts() for row in part.to_pylist()}
        one_by_one = {place: history.first(label) for place, label in enumerate(history.labels)}
        assert said == {place: (canonical(one.key), one.input) for place, one in one_by_one.items() if one}


def test_the_answers_to_labels_are_those_of_decisions_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many decisions there are, and however far their labels lie ahead."""
    monkeypatch.setattr(labelled, "GROUP_ROWS", 5)
    task, answered = Binary(), 0
    shape = ColumnShape(cells={}, answer=task.answer)
    for history in map(History, range(examples(300))):
        spec = spec_of(history.key)
        spec.horizons = (history.answered(),)
        spec.horizons_hours, spec.labels, spec.label, spec.label_columns = (), (), "y", ("y",)
        labels, joined = history.table(("y", pa.int64())), {"prediction_spec": spec, "table": TABLE}
        found = LabelledDecisions(labels, **joined, folder=tmp_path, shape=shape, hours=spec.horizons)
        for part in history.parts(shape):
            found.add(part)
        outcomes = join(found.known(), labels, **joined, task=task)
        answers = answers_of(outcomes, found.inputs, is_share=True, but_of=["b"])
        told = join(of_decisions(history.latest(), shape), labels, **joined, task=task)
        told = told.take(told.known)
        values, sure = (told.column(OUTPUT + name).to_pylist() for name in ("value", "confidence"))
        said = [
            (str(value), error, one or None)
            for value, error, one in zip(values, told.errors.tolist(), sure, strict=True)
        ]
        if answers is None:
            assert not said
            continue
        answered += 1
        confidences = [None if np.isnan(one) else one for one in answers.confidence.tolist()]
        ours = zip(answers.answer, answers.error.tolist(), confidences, strict=True)
        assert sorted(map(str, ours)) == sorted(map(str, said))
    assert answered > 20
