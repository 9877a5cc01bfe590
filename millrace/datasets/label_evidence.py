"""What a batch of labels says before it is learnt: how its labels are, and how they fit the answers of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millrace.monitoring.label_batch import ERROR, EVEN, EVERY, SURE, Figure, SureAnswers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

MOST_CLASSES = 20
"""A label with more values has no share of each, and a text column with more has no parts."""
QUARTERS = (0.25, 0.5, 0.75)
"""A column of numbers has four parts."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Answers of the model whose labels are in the batch, one place each; N of them."""

    answer: Sequence[str]
    error: Floats
    """N; as the task counts errors."""
    is_share: bool
    """Whether an error is a share of answers, 0 to 1."""
    confidence: Floats
    """N; NaN for an answer without one."""
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """The cells of the answered rows by column; None for a missing one."""


def label_figures(name: str, values: Sequence[Any]) -> dict[str, Figure]:
    """The share of each class among the labels of a column, or the mean of numbers."""
    import numpy as np

    if not values:
        return {}
    if all(isinstance(value, float) for value in values):
        finite = np.asarray(values)[np.isfinite(values)]
        mean = Figure(value=float(finite.mean()), rows=len(finite), is_share=False) if len(finite) else None
        return {f"mean {name}": mean} if mean else {}
    texts, counts = np.unique([str(value) for value in values], return_counts=True)
    if len(texts) > MOST_CLASSES:
        return {}
    return {
        f"share of {name} {text}": Figure(value=many / len(values), rows=len(values))
        for text, many in zip(texts.tolist(), counts.tolist(), strict=True)
    }


def error_figure(answers: Answers) -> dict[str, Figure]:
    """The mean error of the answers."""
    if not len(answers.error):
        return {}
    mean = float(answers.error.mean())
    return {ERROR: Figure(value=mean, rows=len(answers.error), is_share=answers.is_share)}


def sure_answers(answers: Answers) -> dict[str, SureAnswers]:
    """By answer, how many of those of which the model was sure are wrong by the labels; and of all likely ones."""
    import numpy as np

    sure, wrong = _sure(answers)
    given = np.asarray(answers.answer, dtype=str)
    classes = np.unique(given[sure]).tolist()
    if len(classes) > MOST_CLASSES:
        return {}
    likely = (answers.confidence >= EVEN) & answers.is_share
    every = {EVERY: _count(likely, wrong)} if likely.any() else {}
    return every | {f"answer {one}": _count(sure & (given == one), wrong) for one in classes}


def sure_parts(answers: Answers) -> dict[str, SureAnswers]:
    """The same by part of the rows: by quarter of each column of numbers, by value of each other column."""
    import numpy as np

    sure, wrong = _sure(answers)
    found: dict[str, SureAnswers] = {}
    for name, cells in answers.columns.items():
        if all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells):
            numbers = np.asarray(cells, np.float64)
            bounds = np.unique(np.quantile(numbers, QUARTERS))
            places = np.searchsorted(bounds, numbers, side="left")
            named = [f"{name} up to {bound:.4g}" for bound in bounds] + [f"{name} above {bounds[-1]:.4g}"]
            found |= {label: _count(sure & (places == place), wrong) for place, label in enumerate(named)}
        else:
            texts = np.asarray([str(cell) for cell in cells])
            values = np.unique(texts)
            if len(values) <= MOST_CLASSES:
                found |= {f"{name} {value}": _count(sure & (texts == value), wrong) for value in values.tolist()}
    return found


def _sure(answers: Answers) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which answers are sure, and which are wrong. Without confidences, or for amounts, none is sure."""
    sure = (answers.confidence >= SURE) & answers.is_share
    return sure, answers.error >= 1 / 2


def _count(chosen: npt.NDArray[np.bool_], wrong: npt.NDArray[np.bool_]) -> SureAnswers:
    return SureAnswers(rows=int(chosen.sum()), wrong=int((chosen & wrong).sum()))
