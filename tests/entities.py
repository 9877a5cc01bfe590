"""Made-up tables with and without an entity: rows of one have one label and readings that identify it, or neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

NAME, OTHER = "subject", "longitude"
"""The columns of the name: only a place has two."""

SIZES: dict[str, Callable[[np.random.Generator], Any]] = {
    "one with a sixth of the rows": lambda random: np.append(random.integers(4, 14, 170), 260),
    "sizes of Pareto": lambda random: np.minimum(80, (2 + 3 * random.pareto(1.1, 250)).astype(int)),
    "ten machines": lambda random: np.full(10, 150),
}
WRITTEN: dict[str, Callable[[int, int], Any]] = {
    "an empty cell": lambda row, name: f"S{name:05d}" if row != 7 else None,
    "each twentieth cell empty": lambda row, name: name if row % 20 else None,
    "the beginning of a code": lambda row, name: f"S{name:05d}-{row:04d}",
    "a folder of a path": lambda row, name: f"scans/S{name:05d}/{row}.dcm",
    "a place": lambda row, name: round(47 + (name * 0.6180339) % 1, 5),
}
SHAPES = ("", *SIZES, *WRITTEN)
"""Ways in which a file names its entities beside whole texts and numbers of similar sizes."""


def made_up(seed: int, *, planted: bool, shape: str = "") -> tuple[pa.Table, npt.NDArray[np.float64]]:
    """80 to 400 groups of 4 to 13 rows in any order, with a number or a code as their name, and the labels of the rows.

    A planted entity has the label, two classes or an amount; else the label is of the row and its readings."""
    random = np.random.default_rng(seed)
    groups = int(random.integers(80, 401))
    sizes = SIZES[shape](random) if shape in SIZES else random.integers(4, 14, groups)
    groups = len(sizes)
    of_row = np.repeat(np.arange(groups), sizes)
    rows, readings, noise = len(of_row), int(random.integers(3, 7)), random.uniform(0.05, 0.3)
    is_class, is_number = random.random(2) < (0.6, 0.5)
    if planted:
        reading = random.normal(0, 1, (groups, readings))[of_row] + noise * random.normal(0, 1, (rows, readings))
        score = random.normal(0, 1, groups)[of_row] + (0 if is_class else 0.2) * random.normal(0, 1, rows)
    else:
        reading = random.normal(0, 1, (rows, readings))
        score = reading[:, 0] + 0.5 * reading[:, 1] + random.normal(0, 1, rows)
    names = random.permutation(10 * groups)[:groups][of_row]
    written = [f"S{name:05d}" for name in names] if shape or not is_number else names.tolist()
    if shape in WRITTEN:
        written = [WRITTEN[shape](row, int(name)) for row, name in enumerate(names)]
    columns = {
        NAME: written,
        **({OTHER: [round(name * 0.4142135 % 1, 5) for name in names.tolist()]} if shape == "a place" else {}),
        **{f"reading_{place}": reading[:, place].round(3) for place in range(readings)},
        "visits": random.poisson(3, rows),
        "town": [f"town {town}" for town in random.integers(0, 12, rows)],
    }
    order = random.permutation(rows)
    label = (score > random.uniform(-0.3, 0.3)).astype(np.float64) if is_class else score
    return pa.table(columns).take(pa.array(order)), label[order]
