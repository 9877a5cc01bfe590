"""Writes sample.json, whose rows a release sends to the new version to compare its answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from millrace.contract.kinds import as_json
from millrace.evaluation.sample import Sample

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.artefact.artefact import Description

ROWS = 20
"""The most rows of a sample."""
MOST_BYTES = 3 * 2**20
"""The most bytes of a sample's rows, by the average row. As base64 they fit into one request, of 6 MB at most."""


def write_sample(path: Path, test: pa.Table, model: Description, output_TW: npt.NDArray[np.float32]) -> None:
    """Write up to ROWS rows, spread over the test days, as a caller would send them, each with its answer.

    `output_TW` is the model's output for each row of `test`. NaN or infinity in an answer is written as null: the gates
    refuse such a model, so its sample is never used. Raises ValueError if a row itself has NaN or infinity."""
    inputs = test.select(list(model.inputs))
    count = max(1, min(ROWS, len(test), len(test) * MOST_BYTES // max(inputs.nbytes, 1)))
    chosen = np.unique(np.linspace(0, len(test) - 1, count, dtype=np.int64))
    rows = inputs.take(chosen).to_pylist()
    answers = {name: values.tolist() for name, values in model.task.answers(output_TW[chosen]).items()}
    sample = Sample(
        rows=tuple({name: as_json(cell) for name, cell in row.items()} for row in rows),
        answers=tuple(
            {name: _finite(values[number]) for name, values in answers.items()} for number in range(len(rows))
        ),
    )
    path.write_text(json.dumps(sample.model_dump(), allow_nan=False))


def _finite(value: Any) -> Any:
    """The value, with None in place of NaN and infinity, also inside a list."""
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
