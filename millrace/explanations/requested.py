"""Explains one row by the model's answers, in training's report as at the endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millrace.errors import ArtefactError
from millrace.explanations import shapley
from millrace.explanations.attribution import Attribution, explained_words
from millrace.explanations.layout import lay_out
from millrace.features import catalogue as encoders

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.artefact.inference import Model

    Tensors = Mapping[str, npt.NDArray[Any]]


def explanation_of(model: Model, row: Mapping[str, Any], *, rows: int = shapley.ROWS) -> dict[str, Any]:
    """The explanation of the answer to `row`, as JSON. The model must take the row.

    The model answers about `rows` rows for it. Raises ArtefactError for a model without a reference."""
    features = model.description.features
    tensors = encoders.stack(features, [[encoder.encode_one(row) for encoder in features]])
    found = attribution_of(model, row, tensors, rows=rows)
    return found.document(explains=explained_words(model.description.task, found.at))


def attribution_of(model: Model, row: Mapping[str, Any], tensors: Tensors, *, rows: int = shapley.ROWS) -> Attribution:
    """What each part of `row` added to the score of its answer. `tensors` are its own, each (1, *spec.shape).

    Raises ArtefactError for a model without a reference."""
    reference, task = model.description.reference, model.description.task
    if reference is None:
        raise ArtefactError("model.json: reference: expected a row to explain answers with, got none")
    # A batch of one row, its reference, and the game between the two.
    base = reference.tensors(model.description.signature, tensors)
    output_NW = model.outputs(tensors)
    game = shapley.Game(
        outputs=model.outputs,
        task=task,
        layout=lay_out(model.description.features, row),
        row={name: value[0] for name, value in tensors.items()},
        reference={name: value[0] for name, value in base.items()},
        at=int(task.explained_output(output_NW)[0]),
    )
    return shapley.explain(game, rows=rows)
