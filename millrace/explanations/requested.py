"""Explains one row by the answers of a model that is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millrace.errors import ArtefactError
from millrace.explanations import shapley
from millrace.explanations.attribution import Attribution, explained_words
from millrace.explanations.layout import lay_out
from millrace.features import catalogue as encoders

if TYPE_CHECKING:
    from millrace.artefact.inference import Model


def explanation_of(model: Model, row: Mapping[str, Any], *, rows: int = shapley.ROWS) -> dict[str, Any]:
    """The explanation of the answer to `row`, as JSON. The model must take the row.

    The model answers about `rows` rows for it. Raises ArtefactError for a model without a reference."""
    explained, features, task = model.description.explained, model.description.features, model.description.task
    if explained is None:
        raise ArtefactError("model.json: explained: expected a reference to explain answers with, got none")
    # A batch of one row, its reference, and the game between the two.
    tensors = encoders.stack(features, [[encoder.encode_one(row) for encoder in features]])
    reference = explained.reference.tensors(model.description.signature, tensors)
    output_NW = model.outputs(tensors)
    game = shapley.Game(
        outputs=model.outputs,
        task=task,
        layout=lay_out(features, row),
        row={name: value[0] for name, value in tensors.items()},
        reference={name: value[0] for name, value in reference.items()},
        at=int(task.explained_output(output_NW)[0]),
    )
    found: Attribution = shapley.explain(game, rows=rows)
    return found.document(explains=explained_words(task, game.at), method=shapley.METHOD)
