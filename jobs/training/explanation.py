"""The trained model explained by its gradients, on rows spread over the test days; their labels are not read.

N rows of the test part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from millrace.explanations.attribution import Attribution, explained_output, rounded
from millrace.explanations.explained import Explained, ExplainedRow, mean_contributions
from millrace.explanations.integrated_gradients import integrated_gradients
from millrace.explanations.layout import lay_out
from millrace.explanations.reference import fit_reference
from millrace.features import catalogue as encoders

if TYPE_CHECKING:
    import pyarrow as pa

    from jobs.training.loader import Resident
    from millrace.features.catalogue import Features
    from millrace.models.predictor import Predictor
    from millrace.tasks.task import Task
    from millrace.workload.declaration import Explanations

COMPARED = 8
"""Rows whose contributions go into the artefact, to be compared with what the endpoint would say."""


def explain_model(
    predictor: Predictor, features: Features, task: Task, *, train: Resident, test: pa.Table, declared: Explanations
) -> Explained | None:
    """What the declared number of rows show; None where none is declared. The predictor is in evaluation mode."""
    if not declared.rows:
        return None
    chosen = np.unique(np.linspace(0, test.num_rows - 1, declared.rows).astype(np.int64))
    signature = encoders.signature(features)
    reference = fit_reference(features, {name: value.numpy() for name, value in train.tensors.items()})
    rows = test.take(chosen)
    encoded = encoders.encode(features, rows)
    tensors = {name: torch.from_numpy(value) for name, value in encoded.items()}
    base = {name: torch.from_numpy(value) for name, value in reference.tensors(signature, encoded).items()}
    with torch.no_grad():
        at_N = explained_output(task, predictor(**tensors).numpy())
    found = integrated_gradients(predictor, signature, tensors, base, at_N, nodes=declared.nodes)
    attributions = []
    for number, row in enumerate(rows.to_pylist()):
        layout = lay_out(features, row)
        contributions = layout.fold({name: value[number] for name, value in found.entries.items()})
        ends = {"base": float(found.base_N[number]), "output": float(found.output_N[number])}
        attributions.append(Attribution(parts=layout.parts, contributions=contributions, **ends))
    columns, places = mean_contributions(attributions)
    compared = np.unique(np.linspace(0, len(chosen) - 1, COMPARED).astype(np.int64)).tolist()
    return Explained(
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


def _completeness_error(found: Sequence[Attribution]) -> float:
    largest = max(abs(one.output - one.base) for one in found)
    return max(one.completeness_error for one in found) / largest if largest else 0.0
