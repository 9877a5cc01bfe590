"""Whether `millrace new` and the evaluation find what rows are about, on sixty made-up tables.

`python -m tests.benchmarks.entities`. The last line is JSON. Half of the tables have a planted entity
(`tests/entities.py`).

The bar: the entity of 28 of 30 tables is found by its name, and no column of the 30 others is taken for one."""

from __future__ import annotations

import time
from typing import Any

from millrace.evaluation.hidden import find_entity
from tests.benchmarks import conclude
from tests.entities import NAME, made_up

TABLES, FOUND = 30, 28


def verdict(*, found: int, wrong: int, slowest_s: float) -> dict[str, Any]:
    """How many entities were found, how many other columns were taken for one, and the slowest table's CPU time."""
    figures = {"found": found, "wrong": wrong, "of": TABLES, "slowest_s": round(slowest_s, 1)}
    return {"name": "entities", **figures, "holds": found >= FOUND and not wrong}


def main() -> None:
    found, wrong, slowest_s = 0, 0, 0.0
    for seed in range(TABLES):
        for planted in (True, False):
            rows, label = made_up(seed, planted=planted)
            inputs, began = [name for name in rows.column_names if name != NAME], time.process_time()
            entity = find_entity(rows, label, inputs=inputs, candidates=rows.column_names, is_in_time=False)
            slowest_s = max(slowest_s, time.process_time() - began)
            found += planted and entity is not None and entity.columns == (NAME,)
            wrong += entity is not None and not (planted and entity.columns == (NAME,))
            print(f"seed {seed}, planted {planted}: {entity.said if entity else 'none'}", flush=True)
    conclude(verdict(found=found, wrong=wrong, slowest_s=slowest_s))


if __name__ == "__main__":
    main()
