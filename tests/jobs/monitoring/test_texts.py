"""Length and unknown words of the texts that decisions were about: calm on the model's own, alarmed by other words."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from millrace.contract.schema import Column, Table
from millrace.decisions.columns import of_decisions
from millrace.decisions.record import Decision, canonical, from_line, to_line
from millrace.features import catalogue as encoders
from millrace.features.text import Text
from millrace.jobs.monitoring.decisions import shape_of, watched
from millrace.monitoring.baseline import Baseline, build
from millrace.monitoring.judgement import judge
from millrace.tasks.binary import Binary
from millrace.workload.declaration import Workload
from tests import builders
from tests.jobs import kinds

NOTES = kinds.notes()
WORKLOAD = Workload.model_validate(kinds.notes_workload())
TABLE = Table(name="rows", columns=(Column(name="note", kind="string", required=True),))
DECLARED = encoders.declare(WORKLOAD.prediction.features, TABLE)
FITTED = encoders.fit(DECLARED, NOTES.slice(0, 600))
AT = datetime(2024, 1, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def known() -> Baseline:
    return build(NOTES.slice(0, 600), workload=WORKLOAD, features=FITTED, error=None, is_in_time=False)


def decisions(texts: list[str]) -> list[Decision]:
    """With what the container measured by the artefact's encoder; the job has the declared one only."""
    measured = encoders.measure(FITTED, encoders.encode(FITTED, pa.table({"note": texts})))
    made = [
        builders.decision(
            id=f"d-{number}",
            workload="notes",
            event_time=AT,
            key={"id": f"{number}"},
            input=canonical({"note": text}),
            output={"value": 1, "probability": 0.7, "confidence": 0.7},
            watched={name: float(values[number]) for name, values in measured.items()},
        )
        for number, text in enumerate(texts)
    ]
    return [from_line(to_line(one)) for one in made]


def columns_of(made: list[Decision], known: Baseline) -> pa.Table:
    shape = shape_of(known, DECLARED, TABLE, Binary().answer)
    return watched(of_decisions(made, shape), known, DECLARED)


def test_the_summaries_are_those_of_the_models_encoder(known: Baseline) -> None:
    later = NOTES.slice(600, 60)
    found = columns_of(decisions(later["note"].to_pylist()), known)
    assert found.column_names == ["note.length", "note.unknown"]
    expected = encoders.summarise(FITTED, later)
    for name in found.column_names:
        np.testing.assert_array_equal(found[name], expected[name])


def test_other_words_alarm_and_those_of_the_training_do_not(known: Baseline) -> None:
    assert isinstance(DECLARED[0], Text)
    texts = NOTES["note"].slice(600, 60).to_pylist()
    calm = judge(known, columns_of(decisions(texts), known))
    other = judge(known, columns_of(decisions([text.replace("den", "xxq") for text in texts]), known))
    assert calm.ratio is None or calm.ratio < 1
    assert other.worst is not None
    assert (other.worst.column, other.worst.ratio > 1) == ("note.unknown", True)
