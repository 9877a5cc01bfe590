"""The figures that tasks give in `metrics` and `parts`: how each is called, and where pages show it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of a task."""

    words: str
    """The name for a page: "expected calibration error"."""
    in_parts: bool = True
    """Whether the table of an answer's parts shows the figure; False if another figure in that table says the same."""
    is_share: bool = False
    """Whether the figure is from 0 to 1, so that it may be written in per cent."""
    has_interval: bool = True
    """Whether a bootstrap can tell how certain the figure is.

    False for a sum of distances such as `ece`: noise only makes it larger, so its draws lie above it."""


FIGURES: dict[str, Figure] = {
    "error": Figure(words="error"),
    "accuracy": Figure(words="accuracy", in_parts=False, is_share=True),
    "all_right": Figure(words="rows with every label right", is_share=True),
    "log_loss": Figure(words="log loss"),
    "auc": Figure(words="AUC", is_share=True),
    "recall": Figure(words="recall", is_share=True),
    "precision": Figure(words="precision", is_share=True),
    "f1": Figure(words="F1", is_share=True),
    "macro_recall": Figure(words="mean recall", is_share=True),
    "ece": Figure(words="expected calibration error", is_share=True, has_interval=False),
    "base_rate": Figure(words="share of yes", is_share=True),
    "mae": Figure(words="MAE", in_parts=False),
    "rmse": Figure(words="RMSE", in_parts=False),
    "r2": Figure(words="R²", in_parts=False),
    "pinball": Figure(words="pinball loss"),
    "coverage": Figure(words="coverage", is_share=True),
    "coverage_gap": Figure(words="coverage off by", in_parts=False, is_share=True, has_interval=False),
    "width": Figure(words="width of the interval"),
}
"""The figures by name. A figure that is not here is called by its own name."""


def short(value: float, sign: Literal["", "+"] = "") -> str:
    """The number with four significant digits, without an exponent from 10,000 up to a quadrillion: 0.1234, 94,180."""
    if not 1e4 <= abs(value) < 1e15:
        return f"{value:{sign}.4g}"
    # Rounded to 4 digits before the comma is set: a format of 4 digits would use an exponent here.
    return f"{round(value, 3 - math.floor(math.log10(abs(value)))):{sign},.0f}"


def has_interval(name: str) -> bool:
    """Whether a bootstrap can tell how certain the figure is; True for a figure that is not in FIGURES."""
    found = FIGURES.get(name)
    return found is None or found.has_interval


def words(name: str) -> str:
    """The name of a figure for a page: "log loss" for `log_loss`."""
    found = FIGURES.get(name)
    return found.words if found else name.replace("_", " ")
