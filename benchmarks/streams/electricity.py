"""The stream of electricity as numbers, and the trees that answer it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from tests.electricity import SAMPLE

COLUMNS = ["day_of_week", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"]


def stream(path: Path = SAMPLE) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The inputs and the labels of all half hours, in their order."""
    table = pq.read_table(path).to_pandas()
    return table[COLUMNS].to_numpy(float), table["class"].to_numpy(np.int64)


def trees(most: int = 60) -> Any:
    """An unfitted model of so many trees at most."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=0, early_stopping=False, max_iter=most)
