"""Brightness and contrast of the images that decisions were about: calm on the model's own, alarmed by darker ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from millrace.contract.load import load_contract
from millrace.decisions.columns import of_decisions
from millrace.decisions.record import Decision, canonical, from_line, to_line
from millrace.features import catalogue as encoders
from millrace.jobs.monitoring.decisions import shape_of, watched
from millrace.monitoring.baseline import Baseline, build
from millrace.monitoring.judgement import judge
from millrace.tasks.binary import Binary
from millrace.workload.load import load_workload
from tests import builders

FOLDER = Path(__file__).resolve().parents[3] / "workloads" / "xray"
WORKLOAD, ROWS = load_workload(FOLDER), load_contract(FOLDER).rows
FEATURES = encoders.declare(WORKLOAD.prediction.features, ROWS)
SAMPLE = pq.read_table(FOLDER / "sample" / "pneumoniamnist.parquet")
ARCHIVE = SAMPLE.filter(pc.is_valid(SAMPLE["split"]))
AT = datetime(2024, 1, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def known() -> Baseline:
    rows = ARCHIVE.slice(0, 1200)
    timed = rows.append_column("at", pa.array([AT] * rows.num_rows, pa.timestamp("us", "UTC")))
    return build(timed, workload=WORKLOAD, features=FEATURES, error=None, is_in_time=False)


def decisions(images: pa.Table, *, darker: float = 0.0) -> list[Decision]:
    """As the prediction function writes them and the job reads them: a reference, and what the container measured."""
    pixels = encoders.encode(FEATURES, images)["image"]
    measured = encoders.measure(FEATURES, {"image": np.clip(pixels - darker, 0, 255).astype(np.uint8)})
    uri = f"s3://lake/xray/captured/{'0' * 64}"
    made = [
        builders.decision(
            id=f"d-{number}",
            workload="xray",
            event_time=AT,
            key={"id": f"{number}"},
            input=canonical({"id": f"{number}", "at": AT.isoformat(), "image": {"uri": uri}}),
            output={"value": 1, "probability": 0.7, "confidence": 0.7},
            watched={name: float(values[number]) for name, values in measured.items()},
        )
        for number in range(images.num_rows)
    ]
    return [from_line(to_line(one)) for one in made]


def columns_of(made: list[Decision], known: Baseline) -> pa.Table:
    shape = shape_of(known, FEATURES, ROWS, Binary().answer)
    return watched(of_decisions(made, shape), known, FEATURES)


def test_the_summaries_are_those_of_the_images(known: Baseline) -> None:
    images = ARCHIVE.slice(1200, 60)
    found = columns_of(decisions(images), known)
    assert found.column_names == ["image.brightness", "image.contrast"]
    expected = encoders.summarise(FEATURES, images)
    for name in found.column_names:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)


def test_darker_images_alarm_and_the_archives_own_do_not(known: Baseline) -> None:
    images = ARCHIVE.slice(1200, 60)
    calm = judge(known, columns_of(decisions(images), known))
    dark = judge(known, columns_of(decisions(images, darker=30), known))
    assert calm.ratio is not None
    assert calm.ratio < 1
    assert dark.worst is not None
    assert (dark.worst.column, dark.worst.ratio > 1) == ("image.brightness", True)


def test_a_decision_that_no_model_made_is_not_a_missing_image(known: Baseline) -> None:
    made = decisions(ARCHIVE.slice(1200, 60))
    fallbacks = [replace(one, id=f"f-{one.id}", fallback=True, model_version=None, watched={}) for one in made]
    table = columns_of([*made, *fallbacks], known)
    assert (table.num_rows, table["image.brightness"].null_count) == (60, 0)
