"""The explanations of the model, for its report:

- what the training measured by gradients,
- how far the endpoint's own method is from it,
- how much worse the answers are if the cells of a column are exchanged between rows,
- one row as an example.

Axes: W numbers of an answer, C channels, H height, W width of an image."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Set
from typing import TYPE_CHECKING, Any

import numpy as np

from millrace.evaluation.evidence import (
    ColumnImportance,
    ExampleContribution,
    ExampleExplanation,
    ExplanationEvidence,
    PlaceImportance,
)
from millrace.explanations.attribution import Attribution, explained_words, rounded, score
from millrace.explanations.layout import Layout, lay_out
from millrace.explanations.permutation import rises
from millrace.explanations.shapley import Game, explain
from millrace.features.catalogue import images
from millrace.tasks.answer import has_parts, in_words

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.artefact.inference import Model
    from millrace.contract.schema import Contract
    from millrace.evaluation.measures.case import Case
    from millrace.explanations.explained import Explained, ExplainedRow
    from millrace.tasks.task import Task

HIDDEN = "protected"
"""Stands in place of a protected cell's value."""


def explanations(model: Model, case: Case, contract: Contract) -> ExplanationEvidence | None:
    """The report's part on explanations; None for a model without explanations."""
    explained = model.description.explained
    if explained is None:
        return None
    # The rows that training explained by gradients are explained once more, by the answers alone as the endpoint does.
    tensors = case.test_tensors
    games, seconds = [], []
    for one in explained.compared:
        row = case.test.slice(one.row, 1).to_pylist()[0]
        layout = lay_out(case.features, row)
        began = time.perf_counter()
        games.append((one, layout, _by_answers(model, explained, layout, tensors, one)))
        seconds.append(time.perf_counter() - began)
    risen = rises(case)
    hidden = {column.name for column in contract.rows.columns if column.is_protected}
    return ExplanationEvidence(
        method=explained.method,
        rows=explained.rows,
        completeness_error=explained.completeness_error,
        columns=tuple(
            ColumnImportance(column=one.column, mean=one.mean, rise=risen.get(one.column)) for one in explained.columns
        ),
        places=tuple(
            PlaceImportance(column=one.column, place=one.place, mean=one.mean)
            for one in explained.places
            if one.column not in hidden
        ),
        endpoint_difference=_difference([(one, found) for one, _, found in games]),
        endpoint_standard_error=rounded(max((found.standard_error for _, _, found in games), default=0.0)),
        endpoint_ms=rounded(float(np.median(seconds)) * 1000) if seconds else 0.0,
        example=_example(case, explained, hidden),
    )


def _by_answers(model: Model, explained: Explained, layout: Layout, tensors: Any, one: ExplainedRow) -> Attribution:
    """The Shapley values of one test row, from the answers of the graph."""
    rows = {name: value[one.row : one.row + 1] for name, value in tensors.items()}
    reference = explained.reference.tensors(model.description.signature, rows)
    game = Game(
        outputs=model.outputs,
        task=model.description.task,
        layout=layout,
        row={name: value[0] for name, value in rows.items()},
        reference={name: value[0] for name, value in reference.items()},
        at=one.at,
    )
    return explain(game)


def _difference(pairs: list[tuple[ExplainedRow, Attribution]]) -> float:
    """How far the endpoint's contributions are from the training's, 0 to 1: half the sum of the differences of shares.

    It is the mean over the rows; 0 without rows."""
    apart = [
        float(np.abs(_shares(found.contributions) - _shares(np.array(one.contributions))).sum() / 2)
        for one, found in pairs
    ]
    return rounded(float(np.mean(apart))) if apart else 0.0


def _shares(contributions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Each contribution as a share of the sum of their absolute values."""
    whole = np.abs(contributions).sum()
    return contributions / whole if whole else contributions


def _example(case: Case, explained: Explained, hidden: Set[str]) -> ExampleExplanation | None:
    """The compared row with the largest contributions, which shows most; None if no row was compared.

    A protected column shows its contribution, but neither its cell nor a place in it."""
    if not explained.compared:
        return None
    one = max(explained.compared, key=lambda each: float(np.abs(each.contributions).sum()))
    row = case.test.slice(one.row, 1).to_pylist()[0]
    layout = lay_out(case.features, row)
    output_1W = case.output_TW[one.row : one.row + 1]
    image = next((image for image in images(case.features) if image.name not in hidden), None)
    return ExampleExplanation(
        explains=explained_words(case.task, one.at),
        output=rounded(float(score(case.task, output_1W, one.at)[0])),
        answer=_answer(case.task, output_1W, one.at),
        contributions=tuple(
            ExampleContribution(
                column=part.column,
                place="" if part.column in hidden else part.place,
                value=HIDDEN if part.column in hidden else part.value,
                contribution=share,
                kind=part.kind,
                box=part.box,
            )
            for part, share in zip(layout.parts, one.contributions, strict=True)
        ),
        image="" if image is None else _picture(case.test_tensors[image.name][one.row]),
        size=(0, 0) if image is None else (image.shape[2], image.shape[1]),
    )


def _answer(task: Task, output_1W: npt.NDArray[Any], at: int) -> str:
    """One row's answer in words. Of a forecast it only has the horizon that is explained."""
    # `at` counts the numbers of all horizons, each of which has `levels`: with 3 levels, 7 is a number of horizon 2.
    answer = {name: value.tolist()[0] for name, value in task.answers(output_1W).items()}
    if (levels := task.objective.levels) > 1 and has_parts(task):
        answer = {name: cells[at // levels :][:1] for name, cells in answer.items()}
    return in_words(answer)


def _picture(pixels: npt.NDArray[np.uint8]) -> str:
    """The image (C, H, W) as a PNG in base64."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()
