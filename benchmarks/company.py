"""Whether an answer depends on the rows that are answered with it, for every family, and what that costs.

`python -m benchmarks.company [rows]`; the last line is JSON. The rows are answered alone, then 2 to 64 at a
time, each time from another place on, and 2 to 64 at a time by 2 to 4 threads at once: the bits of every answer are
compared. Beside each call of one thread the same graph is called without the family's bounds of a pass: the ratio of
both times is what the bounds cost. The engine itself has one thread, whatever the machine and its callers have.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import torch

from benchmarks import conclude
from millrace.artefact.inference import Model
from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.features.signature import Signature
from millrace.models.catalogue import FAMILIES
from millrace.models.export import export
from millrace.models.predictor import build
from tests.millrace.models.test_families import MULTICLASS, fill, model_of, signature_of

ROWS, SIZES, BAR_RATIO = 1024, (*range(2, 33), 40, 48, 63, 64), 1.3
CALLERS = (2, 3, 4)
Tensors = dict[str, Any]


def graph_of(family: str, rows: Tensors, signature: Signature) -> bytes:
    torch.manual_seed(0)
    predictor = build(FAMILIES[family](), signature, MULTICLASS.objective)
    predictor.fit({name: torch.from_numpy(value) for name, value in rows.items()}, torch.zeros(len(rows), dtype=int))
    return export(predictor.eval(), signature)


def answered(model: Model, rows: Tensors, size: int, first: int) -> tuple[np.ndarray[Any, Any], float]:
    count, began = len(next(iter(rows.values()))), time.process_time()
    parts = [
        model.outputs({name: value[at : at + size] for name, value in rows.items()}) for at in range(first, count, size)
    ]
    return np.concatenate(parts), time.process_time() - began


def answered_at_once(model: Model, rows: Tensors, size: int, callers: int) -> np.ndarray[Any, Any]:
    places = range(0, len(next(iter(rows.values()))), size)
    with ThreadPoolExecutor(callers) as pool:
        return np.concatenate(
            [*pool.map(lambda at: model.outputs({name: value[at : at + size] for name, value in rows.items()}), places)]
        )


def measure(family: str, count: int) -> dict[str, Any]:
    signature, rng = signature_of(family), np.random.default_rng(20)
    rows = {spec.name: np.concatenate([fill(spec, rng) for _ in range(2 + count // 257)])[:count] for spec in signature}
    graph = graph_of(family, rows, signature)
    ours, bare = (model_of(family, graph, one) for one in (FAMILIES[family].rows_per_pass, RowsPerPass()))
    alone, _ = answered(ours, rows, 1, 0)
    different = answers = 0
    spent, least = 0.0, 0.0
    for size in (1, *SIZES):
        first = size % 7
        found, seconds = answered(ours, rows, size, first)
        different += int((found != alone[first:]).any(axis=1).sum())
        answers += len(found)
        spent, least = spent + seconds, least + answered(bare, rows, size, first)[1]
    for size, callers in product((2, 7, 64), CALLERS):
        found = answered_at_once(ours, rows, size, callers)
        different += int((found != alone).any(axis=1).sum())
        answers += len(found)
    return {"family": family, "answers": answers, "different": different, "times": round(spent / least, 2)}


def verdict(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The result: answers that differ over all families, and the largest ratio of times, against their bars."""
    figure, times = sum(one["different"] for one in found), max(one["times"] for one in found)
    answers = sum(one["answers"] for one in found)
    result = {"name": "company", "figure": figure, "unit": f"of {answers} answers", "bar": 0, "times": times}
    return {**result, "holds": figure == 0 and times <= BAR_RATIO}


def main() -> None:
    """Print figures; the last line says whether the bars hold, and the exit status is 1 where one is missed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    torch.set_num_threads(1)
    found = [measure(family, count) for family in FAMILIES]
    for one in found:
        print(f"{one['family']}: {one['different']} of {one['answers']} answers differ, {one['times']} x the time")
    conclude(verdict(found))


if __name__ == "__main__":
    main()
