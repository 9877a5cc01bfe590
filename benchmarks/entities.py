"""Whether `millrace new` and the evaluation find what rows are about, on made-up tables.

`python -m benchmarks.entities`. The last line is JSON. Of sixty tables half have a planted entity, and 24 more
have one that is named in another way (`tests/entities.py`).

The bar: the entity of 28 of 30 tables is found by its name and of 22 of the 24, and no column of the 30 tables without
one is taken for one."""

from __future__ import annotations

import time
from typing import Any

from benchmarks import conclude
from millrace.evaluation.hidden import find_entity
from tests.entities import NAME, OTHER, SHAPES, made_up

TABLES, FOUND, SEEDS, SHAPED = 30, 28, 3, 22


def verdict(*, found: int, shaped: int, wrong: int, slowest_s: float) -> dict[str, Any]:
    """How many entities were found, how many other columns were taken for one, and the slowest table's CPU time."""
    figures = {"found": found, "shaped": shaped, "wrong": wrong, "of": TABLES, "slowest_s": round(slowest_s, 1)}
    return {"name": "entities", **figures, "holds": found >= FOUND and shaped >= SHAPED and not wrong}


def main() -> None:
    found, shaped, wrong, slowest_s = 0, 0, 0, 0.0
    tables = [(seed, planted, "") for seed in range(TABLES) for planted in (True, False)]
    for seed, planted, shape in (*tables, *((seed, True, shape) for shape in SHAPES[1:] for seed in range(SEEDS))):
        rows, label = made_up(seed, planted=planted, shape=shape)
        inputs, began = [name for name in rows.column_names if name != NAME], time.process_time()
        entity = find_entity(rows, label, inputs=inputs, candidates=rows.column_names, is_in_time=False)
        slowest_s = max(slowest_s, time.process_time() - began)
        is_right = planted and entity is not None and {*entity.columns} <= {NAME, OTHER}
        found, shaped = found + (is_right and not shape), shaped + (is_right and bool(shape))
        wrong += entity is not None and not is_right
        print(f"seed {seed}, planted {planted} {shape}: {entity.said if entity else 'none'}", flush=True)
    conclude(verdict(found=found, shaped=shaped, wrong=wrong, slowest_s=slowest_s))


if __name__ == "__main__":
    main()
