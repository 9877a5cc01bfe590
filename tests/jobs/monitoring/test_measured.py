"""What the container measured of images and texts: calm on the model's own, alarmed by darker ones and other words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from millrace.contract.load import load_contract
from millrace.contract.schema import Column, Table
from millrace.decisions.columns import of_decisions
from millrace.decisions.record import Decision, canonical, from_line, to_line
from millrace.features import catalogue as encoders
from millrace.jobs.monitoring.decisions import shape_of, watched
from millrace.monitoring.baseline import Baseline, build
from millrace.monitoring.judgement import judge
from millrace.tasks.binary import Binary
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload
from tests import builders
from tests.jobs import kinds
from tests.jobs.conftest import REPOSITORY

AT = datetime(2024, 1, 8, tzinfo=UTC)
XRAY = REPOSITORY / "workloads" / "xray"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A column that the container measures, the rows that a model has learnt, and later ones."""

    name: str
    table: Table
    declared: encoders.Features
    """The encoders that the job has; a text's have learnt nothing."""
    fitted: encoders.Features
    baseline: Baseline
    later: pa.Table
    changed: Callable[[pa.Table], dict[str, Any]]
    """The tensors of rows that are not like those of the training, in what the figure `alarm` shows."""
    figures: tuple[str, str]
    alarm: str

    def decisions(self, tensors: dict[str, Any]) -> list[Decision]:
        """As the prediction function writes them and the job reads them, with what the container measured."""
        measured = encoders.measure(self.fitted, tensors)
        made = [
            builders.decision(
                id=f"d-{number}",
                event_time=AT,
                key={"id": f"{number}"},
                input=canonical({self.name: "what came"}),
                watched={name: float(values[number]) for name, values in measured.items()},
            )
            for number in range(self.later.num_rows)
        ]
        return [from_line(to_line(one)) for one in made]

    def columns(self, made: list[Decision]) -> pa.Table:
        shape = shape_of(self.baseline, self.declared, self.table, Binary().answer)
        return watched(of_decisions(made, shape), self.baseline, self.declared)


def images() -> Measured:
    workload, table = load_workload(XRAY), load_contract(XRAY).rows
    features = encoders.declare(workload.prediction.features, table)
    rows = pq.read_table(XRAY / "sample" / "pneumoniamnist.parquet")
    rows = rows.filter(pc.is_valid(rows["split"]))
    learnt = rows.slice(0, 1200)
    timed = learnt.append_column("at", pa.array([AT] * learnt.num_rows, pa.timestamp("us", "UTC")))
    return Measured(
        name="image",
        table=table,
        declared=features,
        fitted=features,
        baseline=build(timed, workload=workload, features=features, error=None, is_in_time=False),
        later=rows.slice(1200, 60),
        changed=lambda rows: {
            "image": np.clip(encoders.encode(features, rows)["image"] - 30.0, 0, 255).astype(np.uint8)
        },
        figures=("image.brightness", "image.contrast"),
        alarm="image.brightness",
    )


def texts() -> Measured:
    rows, workload = kinds.notes(), Workload.model_validate(kinds.notes_workload())
    table = Table(name="rows", columns=(Column(name="note", kind="string", required=True),))
    declared = encoders.declare(workload.prediction.features, table)
    fitted = encoders.fit(declared, rows.slice(0, 600))
    return Measured(
        name="note",
        table=table,
        declared=declared,
        fitted=fitted,
        baseline=build(rows.slice(0, 600), workload=workload, features=fitted, error=None, is_in_time=False),
        later=rows.slice(600, 60),
        changed=lambda rows: encoders.encode(
            fitted, pa.table({"note": pc.replace_substring(rows["note"], "den", "xxq")})
        ),
        figures=("note.length", "note.unknown"),
        alarm="note.unknown",
    )


@pytest.fixture(scope="module", params=[images, texts])
def given(request: pytest.FixtureRequest) -> Measured:
    made: Measured = request.param()
    return made


def test_what_was_measured_is_the_summary_of_the_models_encoder(given: Measured) -> None:
    found = given.columns(given.decisions(encoders.encode(given.fitted, given.later)))
    expected = encoders.summarise(given.fitted, given.later)
    assert tuple(found.column_names) == given.figures
    for name in given.figures:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)


def test_other_ones_alarm_and_those_of_the_training_do_not(given: Measured) -> None:
    calm = judge(given.baseline, given.columns(given.decisions(encoders.encode(given.fitted, given.later))))
    other = judge(given.baseline, given.columns(given.decisions(given.changed(given.later))))
    assert calm.ratio is None or calm.ratio < 1
    assert (other.findings[0].column, other.findings[0].ratio > 1) == (given.alarm, True)


def test_a_decision_that_no_model_made_is_not_a_missing_cell(given: Measured) -> None:
    made = given.decisions(encoders.encode(given.fitted, given.later))
    fallbacks = [replace(one, id=f"f-{one.id}", fallback=True, model_version=None, watched={}) for one in made]
    table = given.columns([*made, *fallbacks])
    assert (table.num_rows, table[given.alarm].null_count) == (60, 0)
