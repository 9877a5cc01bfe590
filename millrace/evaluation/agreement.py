"""How far answers are apart from those of the evaluation.

The inference image imports this module: no pydantic here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

SAMPLE_FILE = "sample.json"
"""Rows of the test days with their answers, a `Sample`, below a run's `evaluation/`."""
TOLERANCE = 1e-4
"""How far a number of an answer may lie from the evaluation's, in units of the number itself where that is above 1:
float32 as text, on another processor."""


def largest_difference(came: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]) -> float:
    """How far the answers are apart: of numbers as TOLERANCE counts, of text 0 or infinity; 0.0 without answers.

    A field that is null on one side only, missing or of another type is infinitely far."""
    return max(
        (
            _difference(one.get(name), value)
            for one, wanted in zip(came, expected, strict=False)
            for name, value in wanted.items()
        ),
        default=0.0,
    )


def _difference(came: object, expected: object) -> float:
    if isinstance(came, list) and isinstance(expected, list) and len(came) == len(expected):
        return max(map(_difference, came, expected), default=0.0)
    if _is_number(came) and _is_number(expected):
        difference = abs(came - expected) / max(1.0, abs(expected))  # type: ignore[operator, arg-type]
        return difference if math.isfinite(difference) else math.inf
    return 0.0 if came == expected and (expected is None or isinstance(expected, str)) else math.inf


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
