"""Compares answers with the answers that the evaluation wrote down for the same rows.

The inference image imports this module, so it must not import pydantic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

SAMPLE_FILE = "sample.jsonl"
"""The file of a run's `evaluation/` folder with some rows of the test days and their answers, a `Sample`."""
TOLERANCE = 1e-4
"""The largest difference of two numbers that count as the same: |came - expected| / max(1, |expected|).

It leaves room for float32 that was written as text and computed on another processor."""


def first_disagreement(came: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]) -> str:
    """The first answer that is not the expected one within TOLERANCE, in words; empty if all are.

    Texts and nulls must be equal. Fields that only `came` has are ignored.

    Example: `row 2 of 20: probability: expected 0.25 as evaluated, within 1e-04, got 0.2502`."""
    if len(came) != len(expected):
        return f"expected {len(expected)} answers, got {len(came)}"
    for number, (answer, wanted) in enumerate(zip(came, expected, strict=True), start=1):
        where = f"row {number} of {len(expected)}"
        if reason := answer.get("rejected"):
            return f"{where}: {reason.get('column')}: {reason.get('expected')} expected, got {reason.get('came')}"
        for name, value in wanted.items():
            if name not in answer:
                return f"{where}: expected the fields {sorted(wanted)}, got {sorted(answer)}"
            if not _difference(answer[name], value) <= TOLERANCE:
                return f"{where}: {name}: expected {value!r} as evaluated, within {TOLERANCE:.0e}, got {answer[name]!r}"
    return ""


def _difference(came: object, expected: object) -> float:
    if isinstance(came, list) and isinstance(expected, list) and len(came) == len(expected):
        return max(map(_difference, came, expected), default=0.0)
    if _is_number(came) and _is_number(expected):
        # Relative for large numbers, absolute for small ones: float32 keeps digits, not decimals.
        difference = abs(came - expected) / max(1.0, abs(expected))  # type: ignore[operator, arg-type]
        return difference if math.isfinite(difference) else math.inf
    return 0.0 if came == expected and (expected is None or isinstance(expected, str)) else math.inf


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
