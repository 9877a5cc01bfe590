"""sample.json: a few real rows with the graph's answers, for the probe of a release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

ROWS = 20


def write_sample(path: Path, test: pa.Table, features: tuple[str, ...], p_T: npt.NDArray[np.float32]) -> None:
    """Write ROWS rows spread over the test days as a caller would send them, each with its probability.

    `p_T` holds the probabilities of `test`, row by row. A feature that is no number is a ValueError; a
    probability that is none is written as null: the gates refuse such a model, its sample is never asked."""
    chosen = np.unique(np.linspace(0, len(test) - 1, min(ROWS, len(test)), dtype=np.int64))
    rows = test.select(list(features)).take(chosen).to_pylist()
    document = {"rows": rows, "probabilities": [float(p) if np.isfinite(p) else None for p in p_T[chosen]]}
    path.write_text(json.dumps(document, allow_nan=False))
