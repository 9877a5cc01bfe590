"""Decisions read from JSON lines, and what they were asked as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from millrace.decisions.outcomes import latest_lines
from millrace.decisions.record import Decision, from_line
from millrace.errors import DecisionError
from millrace.monitoring.baseline import Baseline, Column
from millrace.monitoring.constant import Constant


@dataclass(frozen=True, kw_only=True)
class Found:
    """The decisions of a folder, one per id, and how many lines are none."""

    decisions: list[Decision]
    unreadable: int


def read_decisions(folder: Path) -> Found:
    """Every decision in the `.jsonl` files below the folder."""
    decisions, unreadable = [], 0
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                decisions.append(from_line(line))
            except DecisionError:
                unreadable += 1
    return Found(decisions=latest_lines(decisions), unreadable=unreadable)


def table_of(decisions: Sequence[Decision], baseline: Baseline) -> pa.Table:
    """The inputs of the decisions, a column per column of the baseline; what a row does not have is null."""
    rows = [json.loads(decision.input) for decision in decisions]
    return pa.table(
        {column.name: _values([row.get(column.name) for row in rows], column) for column in baseline.columns}
    )


def _values(cells: list[Any], column: Column) -> pa.ChunkedArray:
    if _is_number(column):
        # A text where numbers were is for the contract to refuse; here it is a missing value.
        numbers = [float(cell) if isinstance(cell, int | float) else None for cell in cells]
        return pa.chunked_array([pa.array(numbers, pa.float64())])
    texts = [None if cell is None else _text(cell) for cell in cells]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _is_number(column: Column) -> bool:
    if isinstance(column.sketch, Constant):
        return isinstance(column.sketch.value, int | float)
    return column.sketch.kind == "numeric"


def _text(cell: object) -> str:
    """Booleans as the sketches write them."""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)
