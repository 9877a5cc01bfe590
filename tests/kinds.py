"""Small workloads of every kind, of real rows: what is answered, from what. `millrace new` proposes each of them.

What differs between kinds is here; the story that all of them live through is `tests/end_to_end/test_kinds.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millrace.contract.kinds import as_json

WORKLOADS = Path(__file__).resolve().parents[1] / "workloads"
UNTIMED = ("--no-event-time", "--key", "id")
CLOCK = datetime.fromisoformat("1997-06-21T00:00:00+00:00")
"""Rows with a time of their own are known until then: what is asked later than two days is no evidence of a canary."""


def merged(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The document with these changes; of a section that both have, the keys of both."""
    both = {
        name: merged(document[name], one)
        if isinstance(one, Mapping) and isinstance(document.get(name), Mapping)
        else one
        for name, one in changes.items()
    }
    return {**document, **both}


def sample(workload: str, file: str, count: int | None = None) -> pa.Table:
    return pq.read_table(WORKLOADS / workload / "sample" / f"{file}.parquet").slice(0, count)


def adults() -> pa.Table:
    return sample("income", "adult", 4000)


def intents() -> pa.Table:
    """The sentences of ten intents, in any order."""
    table = sample("intents", "clinc150")
    names = [
        "alarm", "balance", "book_flight", "calories", "date", "directions", "greeting", "oos", "recipe", "weather",
    ]  # fmt: skip
    some = table.filter(pc.is_in(table["intent"], pa.array(names)))
    return some.take(np.random.default_rng(0).permutation(some.num_rows)).select(["id", "text", "intent"])


def regions() -> pa.Table:
    """The half hours of two neighbouring markets, from the day on which both have prices."""
    table = sample("electricity", "elec2").slice(17_424)
    each = [
        pa.table({"at": table["timestamp"], "region": [name] * len(table), "price": table[f"{name}price"],
                  "demand": table[f"{name}demand"]})
        for name in ("nsw", "vic")
    ]  # fmt: skip
    return pa.concat_tables(each).sort_by([("at", "ascending"), ("region", "ascending")])


def tagged() -> pa.Table:
    table = adults()
    labels = {
        "rich": pc.equal(table["income"], ">50K"),
        "married": pc.starts_with(table["marital_status"], "Married"),
    }
    return pa.table({name: table[name] for name in ("id", "workclass", "education_num", "hours_per_week")} | labels)


def scans() -> pa.Table:
    """The images of the archive, in any order."""
    table = sample("xray", "pneumoniamnist")
    return table.take(np.random.default_rng(0).permutation(len(table))).select(["id", "image", "label"])


@dataclass(frozen=True, kw_only=True)
class DataKind:
    """What is answered from what, and what its workload declares beside what is proposed."""

    answers: str
    """The answer and the rows, as the table in the docs names them."""
    task: str
    make: Callable[[], pa.Table]
    label: tuple[str, ...]
    words: tuple[str, ...]
    """What is typed behind `millrace new NAME --from FILE --label LABEL`."""
    declared: Mapping[str, Any] = field(default_factory=dict)
    time: str = ""
    """The column with the time of a row; empty where a row has the time at which it comes."""
    steps: tuple[int, ...] = (0,)
    """How many rows later the labels are that an answer is about; 0: the label of the row itself."""
    history: tuple[str, ...] = ()
    """The columns whose past an answer reads, `past` rows of the same entity."""
    past: int = 0
    entities: int = 1
    """How many rows there are of each time."""
    known: int = 3200
    """The rows that the first version knows."""
    part: str = ""
    """The frozen encoder that reads its texts or its image too, as `millrace part` names it; empty for none."""
    night: bool = True

    @property
    def fallback(self) -> tuple[Any, ...]:
        """Who answers while no endpoint does: as `millrace new` proposes it, or as it is declared."""
        return tuple(self.declared.get("prediction", {}).get("fallback", ("previous", "rule")))

    @cached_property
    def rows(self) -> pa.Table:
        return self.make()

    def asked(self, first: int, count: int) -> pa.Table:
        """Rows behind the known ones, as a file to score has them."""
        found = self.rows.slice(self.known + first, count)
        return found if self.steps[0] else found.drop_columns(list(self.label))

    def truth(self, key: Mapping[str, Any]) -> Any:
        """The label that a person gives to the row with this key: a value, several by column, or one for each hour."""
        rows = self.rows.to_pylist()
        at = next(at for at, row in enumerate(rows) if all(as_json(row[name]) == key[name] for name in key))
        found = [{name: rows[at + step][name] for name in self.label} for step in self.steps]
        values = [one if len(one) > 1 else one[self.label[0]] for one in found]
        return tuple(values) if len(values) > 1 else values[0]

    def requested(self, first: int, count: int) -> list[dict[str, Any]]:
        """The same rows as a request has them, each with its past if its features read one."""
        found = [{name: as_json(cell) for name, cell in row.items()} for row in self.asked(first, count).to_pylist()]
        return [self._with_past(row, self.known + first + at) if self.past else row for at, row in enumerate(found)]

    def _with_past(self, row: dict[str, Any], at: int) -> dict[str, Any]:
        before = [at - back * self.entities for back in range(self.past, 0, -1)]
        cells = self.rows.select([self.time, *self.history]).take(before).to_pylist()
        return row | {"history": [{name: as_json(cell) for name, cell in one.items()} for one in cells]}


AGE = DataKind(
    answers="a number from a table",
    task="regression",
    make=lambda: adults().select(["id", "workclass", "education_num", "occupation", "income", "marital_status", "age"]),
    label=("age",),
    words=(*UNTIMED, "--keep", "marital_status"),
)
KINDS: dict[str, DataKind] = {
    "age": AGE,
    "span": replace(
        AGE, answers="a number and its interval from a table", task="interval", words=(*AGE.words, "--kind", "interval")
    ),
    "intent": DataKind(
        answers="classes from a text",
        task="multiclass",
        make=intents,
        label=("intent",),
        words=UNTIMED,
        part="minilm",
        known=2200,
        night=False,
    ),
    "demand": DataKind(
        answers="a forecast of a panel",
        task="forecast",
        make=regions,
        label=("demand",),
        words=("--horizon-hours", "3", "--kind", "forecast", "--key", "at,region"),
        declared={"training": {"walk_forward_steps": 0}},
        time="at",
        history=("price", "demand"),
        past=48,
        entities=2,
        steps=(2, 4, 6, 8, 10, 12),
        known=48 * 48 * 2,
        night=False,
    ),
    "tags": DataKind(
        answers="tags from a table",
        task="multilabel",
        make=tagged,
        label=("rich", "married"),
        words=UNTIMED,
    ),
    "recommended": DataKind(
        answers="yes or no from texts and a table",
        task="binary",
        make=lambda: sample("reviews", "womens_clothing", 4000).drop_columns(["age"]),
        label=("recommended_ind",),
        words=UNTIMED,
    ),
    "pneumonia": DataKind(
        answers="yes or no from an image",
        task="binary",
        make=scans,
        label=("label",),
        words=UNTIMED,
        # A number in place of the proposed rule, without which there is no floor.
        declared={
            "prediction": {"fallback": ["previous", {"constant": 0.5}]},
            "policy": {"floor": None, "unlike_training": 0.05},
        },
        known=1600,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Capability:
    """What a kind may do, and the test of the story that drives it."""

    test: str
    needs: Callable[[DataKind], bool] = lambda _: True
    """Whether what the kind declares drives it."""
    declared: Mapping[str, Any] | None = None
    """What declares it; where that is refused, the kind cannot do it."""


STORY = Path(__file__).parent / "end_to_end" / "test_kinds.py"
CHAIN, AUTOMATE = "test_without_endpoints_those_answer_who_are_declared", {"automate": {"confidence": 0.9}}
CAPABILITIES: Mapping[str, Capability] = {
    "request, file, stream, job": Capability(
        test="test_the_same_rows_have_the_same_answers_by_request_file_stream_and_job"
    ),
    "webhook, bus, mail, PostgreSQL": Capability(
        test="test_consumers_get_each_decision_that_acts_and_a_mail_says_what_waits"
    ),
    "person": Capability(test="test_people_decide_what_is_held_out_and_their_answer_is_its_label_and_acts"),
    "retrained, canary": Capability(test="test_a_version_of_more_rows_is_trained_and_goes_live_after_a_canary"),
    "previous": Capability(test=CHAIN),
    "rule": Capability(test=CHAIN, needs=lambda kind: "rule" in kind.fallback),
    "constant": Capability(test=CHAIN, needs=lambda kind: "rule" not in kind.fallback),
    "confidence": Capability(
        test="test_the_same_rows_have_the_same_answers_by_request_file_stream_and_job",
        needs=lambda kind: kind.task in ("binary", "multiclass"),
        declared={"policy": AUTOMATE},
    ),
    "shadow": Capability(test="", needs=lambda _: False),
    "floor": Capability(test="", needs=lambda _: False),
    "monitor": Capability(test="test_a_monitor_has_figures_of_the_week"),
}
