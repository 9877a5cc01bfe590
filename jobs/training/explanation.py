"""Explains the trained model on rows spread over the test days. Their labels are not read.

The method is integrated gradients. A network that does not name its entrances is explained by its answers alone.

Axes: N rows of the test part that are explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from millrace.explanations import shapley
from millrace.explanations.attribution import Attribution, rounded
from millrace.explanations.explained import Explained, ExplainedRow, mean_contributions
from millrace.explanations.integrated_gradients import integrated_gradients
from millrace.explanations.layout import Layout, lay_out
from millrace.explanations.reference import fit_reference
from millrace.features import catalogue as encoders
from millrace.models.entrance import are_whole

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.features.catalogue import Features
    from millrace.jobs.training.loader import Resident
    from millrace.models.predictor import Predictor
    from millrace.tasks.task import Task
    from millrace.workload.declaration import Explanations

    Tensors = Mapping[str, npt.NDArray[Any]]

COMPARED = 8
"""The contributions of so many rows go into the artefact. The evaluation compares them with the endpoint's method."""


def explain_model(
    predictor: Predictor, features: Features, task: Task, *, train: Resident, test: pa.Table, declared: Explanations
) -> Explained | None:
    """What the declared number of test rows show; None if `declared` names no rows.

    The predictor is on the CPU and in evaluation mode."""
    if not declared.rows:
        return None
    # Places evenly spread over the test rows, each once if there are fewer rows than declared.
    chosen = np.unique(np.linspace(0, test.num_rows - 1, declared.rows).astype(np.int64))
    signature = encoders.signature(features)
    # The row that every explained row is compared with: the means of the training rows.
    reference = fit_reference(features, {name: value.numpy() for name, value in train.tensors.items()})
    # Not `take`: Arrow's own copies a column of several batches whole.
    rows = pa.concat_tables([test.slice(at, 1) for at in chosen.tolist()]).combine_chunks()
    encoded = encoders.encode(features, rows)
    base = reference.tensors(signature, encoded)
    at_N = task.explained_output(_outputs(predictor, encoded))
    layouts = [lay_out(features, row) for row in rows.to_pylist()]
    # Trees have no gradients.
    has_gradients = predictor.trees is None and are_whole(predictor, (spec.name for spec in signature))
    if has_gradients:
        attributions = _by_gradients(predictor, layouts, encoded, base, at_N, declared.nodes)
    else:
        attributions = _by_answers(predictor, task, layouts, encoded, base, at_N)
    columns, places = mean_contributions(attributions)
    compared = np.unique(np.linspace(0, len(chosen) - 1, COMPARED).astype(np.int64)).tolist()
    return Explained(
        method="integrated gradients" if has_gradients else shapley.METHOD,
        reference=reference,
        rows=len(chosen),
        completeness_error=rounded(_completeness_error(attributions)),
        columns=columns,
        places=places,
        compared=tuple(
            ExplainedRow(
                row=int(chosen[one]),
                at=int(at_N[one]),
                contributions=tuple(map(rounded, attributions[one].contributions.tolist())),
            )
            for one in compared
        ),
    )


def _by_gradients(
    predictor: Predictor,
    layouts: Sequence[Layout],
    rows: Tensors,
    base: Tensors,
    at_N: npt.NDArray[np.int64],
    nodes: int,
) -> list[Attribution]:
    here, there = ({name: torch.from_numpy(value) for name, value in some.items()} for some in (rows, base))
    found = integrated_gradients(predictor, here, there, at_N, nodes=nodes)
    return [
        Attribution(
            parts=layout.parts,
            contributions=layout.fold({name: value[number] for name, value in found.entries.items()}),
            base=float(found.base_N[number]),
            output=float(found.output_N[number]),
        )
        for number, layout in enumerate(layouts)
    ]


def _by_answers(
    predictor: Predictor,
    task: Task,
    layouts: Sequence[Layout],
    rows: Tensors,
    base: Tensors,
    at_N: npt.NDArray[np.int64],
) -> list[Attribution]:
    return [
        shapley.explain(
            shapley.Game(
                outputs=lambda tensors: _outputs(predictor, tensors),
                task=task,
                layout=layout,
                row={name: value[number] for name, value in rows.items()},
                reference={name: value[number] for name, value in base.items()},
                at=int(at_N[number]),
            )
        )
        for number, layout in enumerate(layouts)
    ]


def _outputs(predictor: Predictor, tensors: Tensors) -> npt.NDArray[np.float32]:
    """The predictor's numbers (N, W) for tensors of numpy."""
    with torch.no_grad():
        found: npt.NDArray[np.float32] = predictor(**{n: torch.from_numpy(x) for n, x in tensors.items()}).numpy()
    return found


def _completeness_error(found: Sequence[Attribution]) -> float:
    """The largest error of a row, as a share of the largest difference from the reference that a row has."""
    largest = max(abs(one.output - one.base) for one in found)
    return max(one.completeness_error for one in found) / largest if largest else 0.0
