"""What a batch of labels says before it is learnt: how its labels are, and how they fit the answers of the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from millrace.decisions.columns import OUTPUT
from millrace.decisions.labelled import PLACE
from millrace.decisions.outcome_columns import Outcomes, Places
from millrace.monitoring.label_batch import ERROR, EVEN, EVERY, SURE, BatchFigure, SureAnswers
from millrace.tasks.answer import CONFIDENCE

if TYPE_CHECKING:
    import pyarrow as pa

    Floats = npt.NDArray[np.float64]

MOST_CLASSES = 20
"""A label with more values has no share of each, and a text column with more has no parts."""
QUARTERS = (0.25, 0.5, 0.75)
"""A column of numbers has four parts."""


@dataclass(frozen=True, kw_only=True)
class KnownAnswers:
    """Answers of the model whose labels are in the batch, one place each; N of them."""

    answer: Sequence[str]
    error: Floats
    """N; as the task counts errors."""
    is_share: bool
    """Whether an error is a share of answers, 0 to 1."""
    confidence: Floats
    """N; NaN for an answer without one."""
    columns: Mapping[str, LabelCells] = field(default_factory=dict)
    """The cells of the answered rows by column."""


class LabelCells:
    """The cells of a column, as far as parts are made of them: numbers, or few texts.

    A million rows with twenty columns are 200 MB."""

    def __init__(self) -> None:
        self._numbers: list[Floats] | None = []
        self._codes: list[npt.NDArray[np.int8]] | None = []
        self._texts: dict[str, int] = {}

    def add(self, cells: Sequence[Any]) -> None:
        """Further cells; None for a missing one."""
        if self._numbers is not None:
            is_number = all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells)
            self._numbers = [*self._numbers, np.asarray(cells, np.float64)] if is_number else None
        if self._codes is not None:
            codes = [self._texts.setdefault(str(cell), len(self._texts)) for cell in cells]
            self._codes = [*self._codes, np.asarray(codes, np.int8)] if len(self._texts) <= MOST_CLASSES else None

    def parts(self) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
        """The words of each part, and which cells are in it."""
        if self._numbers is not None:
            numbers = np.concatenate(self._numbers)
            bounds = np.unique(np.quantile(numbers, QUARTERS))
            places = np.searchsorted(bounds, numbers, side="left")
            named = [f"up to {bound:.4g}" for bound in bounds] + [f"above {bounds[-1]:.4g}"]
            yield from ((words, places == place) for place, words in enumerate(named))
        elif self._codes is not None:
            codes = np.concatenate(self._codes)
            yield from ((text, codes == code) for text, code in sorted(self._texts.items()))


def answers_of(
    outcomes: Outcomes, inputs: Callable[[Places], Iterable[pa.ChunkedArray]], *, is_share: bool, but_of: Sequence[str]
) -> KnownAnswers | None:
    """The answers whose error is known; None without any. `inputs` and the places are those of `LabelledDecisions`.

    The columns are those of the first answer's row, without `but_of`."""
    told = outcomes.take(outcomes.known)
    if not len(told):
        return None
    place_N = told.column(PLACE).to_numpy()
    first = json.loads(next(iter(inputs(place_N[:1])))[0].as_py())
    columns = {name: LabelCells() for name in first if name not in but_of}
    told, place_N = told.take(np.argsort(place_N)), np.sort(place_N)
    for part in inputs(place_N):
        rows = [json.loads(text) for text in part.to_pylist()]
        for name, cells in columns.items():
            cells.add([row.get(name) for row in rows])
    confidence = told.answers(CONFIDENCE)
    return KnownAnswers(
        answer=[str(value) for value in told.column(OUTPUT + "value").to_pylist()],
        error=told.errors,
        is_share=is_share,
        confidence=np.where(confidence == 0, np.nan, confidence),
        columns=columns,
    )


def label_figures(name: str, values: Sequence[Any]) -> dict[str, BatchFigure]:
    """The share of each class among the labels of a column, or the mean of numbers."""
    if not values:
        return {}
    if all(isinstance(value, float) for value in values):
        finite = np.asarray(values)[np.isfinite(values)]
        mean = BatchFigure(value=float(finite.mean()), rows=len(finite), is_share=False) if len(finite) else None
        return {f"mean {name}": mean} if mean else {}
    texts, counts = np.unique([str(value) for value in values], return_counts=True)
    if len(texts) > MOST_CLASSES:
        return {}
    return {
        f"share of {name} {text}": BatchFigure(value=many / len(values), rows=len(values))
        for text, many in zip(texts.tolist(), counts.tolist(), strict=True)
    }


def error_figure(answers: KnownAnswers) -> dict[str, BatchFigure]:
    """The mean error of the answers."""
    if not len(answers.error):
        return {}
    mean = float(answers.error.mean())
    return {ERROR: BatchFigure(value=mean, rows=len(answers.error), is_share=answers.is_share)}


def sure_answers(answers: KnownAnswers) -> dict[str, SureAnswers]:
    """By answer, how many of those of which the model was sure are wrong by the labels; and of all likely ones."""
    sure, wrong = _sure(answers)
    given = np.asarray(answers.answer, dtype=str)
    classes = np.unique(given[sure]).tolist()
    if len(classes) > MOST_CLASSES:
        return {}
    likely = (answers.confidence >= EVEN) & answers.is_share
    every = {EVERY: _count(likely, wrong)} if likely.any() else {}
    return every | {f"answer {one}": _count(sure & (given == one), wrong) for one in classes}


def sure_parts(answers: KnownAnswers) -> dict[str, SureAnswers]:
    """The same by part of the rows: by quarter of each column of numbers, by value of each other column."""

    sure, wrong = _sure(answers)
    found: dict[str, SureAnswers] = {}
    for name, cells in answers.columns.items():
        found |= {f"{name} {part}": _count(sure & chosen, wrong) for part, chosen in cells.parts()}
    return found


def _sure(answers: KnownAnswers) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which answers are sure, and which are wrong. Without confidences, or for amounts, none is sure."""
    sure = (answers.confidence >= SURE) & answers.is_share
    return sure, answers.error >= 1 / 2


def _count(chosen: npt.NDArray[np.bool_], wrong: npt.NDArray[np.bool_]) -> SureAnswers:
    return SureAnswers(rows=int(chosen.sum()), wrong=int((chosen & wrong).sum()))
