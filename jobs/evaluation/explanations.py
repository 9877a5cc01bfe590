"""The explanations of the model, for its report:

- what moves the answers to rows spread over the test days, by the endpoint's own function,
- how much worse the answers are if the cells of a column are exchanged between rows,
- one row as an example.

Axes: W numbers of an answer, C channels, H height, W width of an image."""

from __future__ import annotations

import base64
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from millrace.artefact.inference import Model
from millrace.contract.schema import Contract
from millrace.datasets.split import spread
from millrace.evaluation.evidence import (
    ColumnImportance,
    Estimate,
    ExampleContribution,
    ExampleExplanation,
    ExplanationEvidence,
    PlaceImportance,
)
from millrace.evaluation.measures.case import Case
from millrace.explanations.attribution import Attribution, explained_words, rounded
from millrace.explanations.permutation import rises
from millrace.explanations.requested import attribution_of
from millrace.features.catalogue import images
from millrace.jobs.evaluation.rows import as_sent
from millrace.tasks.answer import has_parts, in_words
from millrace.tasks.task import Task

MOST_PLACES = 256
"""So many places in columns are reported, those with the largest means."""
FEWEST_ROWS = 3
"""The fewest explained rows that have a reported word. So nobody's own words are in a report."""
HIDDEN = "protected"
"""Stands in place of a protected cell's value."""


def explanations(model: Model, case: Case, contract: Contract, *, rows: int) -> ExplanationEvidence | None:
    """The report's part on explanations, of so many test rows; None without rows, or for a model without a reference.

    Their labels are not read."""
    if not rows or model.description.reference is None:
        return None
    chosen = spread(slice(0, case.test.num_rows), rows).tolist()
    found = list[Attribution]()
    for at in chosen:
        row = case.test.slice(at, 1).to_pylist()[0]
        tensors = {name: value[at : at + 1] for name, value in case.test_tensors.items()}
        found.append(attribution_of(model, row, tensors))
    known = case.test.column_names
    hidden = {column.name for column in contract.rows.columns if column.is_protected}
    return ExplanationEvidence(
        rows=len(chosen),
        columns=_columns(found, rises(case)),
        places=_places(found, hidden),
        standard_error=rounded(max(one.standard_error for one in found)),
        example=_example(case, chosen, found, hidden, [name for name in chain(*contract.rows.keys) if name in known]),
    )


def _columns(found: Sequence[Attribution], risen: Mapping[str, Estimate]) -> tuple[ColumnImportance, ...]:
    """The means of all columns, in the order of the features. A column's contribution is the sum over its places."""
    means = _means(found, by_place=False)
    return tuple(
        ColumnImportance(column=name, mean=rounded(mean), rise=risen.get(name)) for (name, _), mean in means.items()
    )


def _places(found: Sequence[Attribution], hidden: Set[str]) -> tuple[PlaceImportance, ...]:
    """The largest means of places in columns that are not hidden, in the order of the features."""
    means = _means(found, by_place=True)
    words = Counter((part.column, part.place) for one in found for part in one.parts if part.kind == "word")
    own = {key for key, rows in words.items() if rows < FEWEST_ROWS}
    shown = {key: mean for key, mean in means.items() if key[1] and key[0] not in hidden and key not in own}
    kept = set(sorted(shown, key=lambda key: -shown[key])[:MOST_PLACES])
    return tuple(
        PlaceImportance(column=column, place=place, mean=rounded(mean))
        for (column, place), mean in shown.items()
        if (column, place) in kept
    )


def _means(found: Sequence[Attribution], *, by_place: bool) -> dict[tuple[str, str], float]:
    """The mean absolute contribution by column and place, or by column with an empty place.

    What one row has of a key is summed. A row that lacks it, as a text lacks a word, has 0."""
    sums: defaultdict[tuple[str, str], npt.NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(found)))
    for row, one in enumerate(found):
        for part, contribution in zip(one.parts, one.contributions.tolist(), strict=True):
            sums[part.column, part.place if by_place else ""][row] += contribution
    return {key: float(np.abs(value).mean()) for key, value in sums.items()}


def _example(
    case: Case, chosen: Sequence[int], found: Sequence[Attribution], hidden: Set[str], key: Sequence[str]
) -> ExampleExplanation:
    """The explained row with the largest contributions, which shows most.

    A protected column shows its contribution, but neither its cell nor a place in it."""
    at, one = max(zip(chosen, found, strict=True), key=lambda each: float(np.abs(each[1].contributions).sum()))
    output_1W = case.output_TW[at : at + 1]
    image = next((image for image in images(case.features) if image.name not in hidden), None)
    return ExampleExplanation(
        key=as_sent(case.test, key, at),
        explains=explained_words(case.task, one.at),
        output=rounded(one.output),
        answer=_answer(case.task, output_1W, one.at),
        contributions=tuple(
            ExampleContribution(
                **vars(replace(part, place="", value=HIDDEN) if part.column in hidden else part),
                contribution=rounded(contribution),
            )
            for part, contribution in zip(one.parts, one.contributions.tolist(), strict=True)
        ),
        image="" if image is None else _picture(case.test_tensors[image.name][at]),
        size=(0, 0) if image is None else (image.shape[2], image.shape[1]),
    )


def _answer(task: Task, output_1W: npt.NDArray[Any], at: int) -> str:
    """One row's answer in words. Of a forecast it only has the horizon that is explained."""
    # `at` counts the numbers of all horizons, each of which has `levels`: with 3 levels, 7 is a number of horizon 2.
    answer = {name: value.tolist()[0] for name, value in task.answers(output_1W).items()}
    if (levels := task.objective.levels) > 1 and has_parts(task):
        answer = {name: cells[at // levels :][:1] for name, cells in answer.items()}
    return in_words(answer, task.words)


def _picture(pixels: npt.NDArray[np.uint8]) -> str:
    """The image (C, H, W) as a PNG in base64."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()
