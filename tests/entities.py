"""Made-up tables with and without an entity: rows of one have one label and readings that identify it, or neither."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

NAME = "subject"


def made_up(seed: int, *, planted: bool) -> tuple[pa.Table, npt.NDArray[np.float64]]:
    """80 to 400 groups of 4 to 13 rows in any order, with a number or a code as their name, and the labels of the rows.

    A planted entity has the label, two classes or an amount; else the label is of the row and its readings."""
    random = np.random.default_rng(seed)
    groups = int(random.integers(80, 401))
    of_row = np.repeat(np.arange(groups), random.integers(4, 14, groups))
    rows, readings, noise = len(of_row), int(random.integers(3, 7)), random.uniform(0.05, 0.3)
    is_class, is_number = random.random(2) < (0.6, 0.5)
    if planted:
        reading = random.normal(0, 1, (groups, readings))[of_row] + noise * random.normal(0, 1, (rows, readings))
        score = random.normal(0, 1, groups)[of_row] + (0 if is_class else 0.2) * random.normal(0, 1, rows)
    else:
        reading = random.normal(0, 1, (rows, readings))
        score = reading[:, 0] + 0.5 * reading[:, 1] + random.normal(0, 1, rows)
    names = random.permutation(10 * groups)[:groups][of_row]
    columns = {
        NAME: names.tolist() if is_number else [f"S{name:05d}" for name in names],
        **{f"reading_{place}": reading[:, place].round(3) for place in range(readings)},
        "visits": random.poisson(3, rows),
        "town": [f"town {town}" for town in random.integers(0, 12, rows)],
    }
    order = random.permutation(rows)
    label = (score > random.uniform(-0.3, 0.3)).astype(np.float64) if is_class else score
    return pa.table(columns).take(pa.array(order)), label[order]
