"""The figures that tasks name in `metrics` and `parts`: what each is called, and where it is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of a task."""

    words: str
    """For a page: "mean absolute error"."""
    in_parts: bool = True
    """Whether the table of an answer's parts shows it, where they have it: not what another figure says already."""
    is_share: bool = False
    """Whether it is from 0 to 1 and may be written in per cent."""
    has_interval: bool = True
    """Whether draws of the rows tell how certain it is: not of a sum of distances, which noise only makes larger."""


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
"""By name; a figure that is not here is called by its name."""


def short(value: float, sign: Literal["", "+"] = "") -> str:
    """Four significant digits, without an exponent below a quadrillion: 0.1234, 94,180."""
    if not 1e4 <= abs(value) < 1e15:
        return f"{value:{sign}.4g}"
    return f"{round(value, 3 - math.floor(math.log10(abs(value)))):{sign},.0f}"


def has_interval(name: str) -> bool:
    """Whether draws of the rows tell how certain the figure is; of one that is not in FIGURES they do."""
    found = FIGURES.get(name)
    return found is None or found.has_interval


def words(name: str) -> str:
    """What a figure is called."""
    found = FIGURES.get(name)
    return found.words if found else name.replace("_", " ")
