"""The job of an external model: from a graph and its declared signature to the archive that a training would have left.

Axes: N rows on which the graph is tried, W numbers of an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from millrace.artefact import external
from millrace.artefact.artefact import ARCHIVE, Artefact, Digests, write_archive
from millrace.artefact.inference import Model
from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.contract.load import load_contract
from millrace.datasets.examples import examples, read_rows
from millrace.errors import ArtefactError
from millrace.features import catalogue as encoders
from millrace.jobs.runtime import ProcessingPlaces
from millrace.messages.training_run import PINNED, read_run
from millrace.tasks import catalogue as tasks
from millrace.tasks.task import Task
from millrace.workload.load import read_workload

Tensors = Mapping[str, npt.NDArray[Any]]
Output = npt.NDArray[np.float32]

TRIED_ROWS = 600
"""Rows on which the graph is tried: more than one pass of the engine takes."""
ALONE_ROWS = 24
"""Rows that are also tried alone."""
PASSES = (RowsPerPass(), RowsPerPass(fewest=32, most=32), RowsPerPass(most=1))
"""How many rows may share a pass, the fastest way first. The archive gets the first way in which the answer to a row
has the same bits alone and among other rows."""
TOLERANCE = 1e-3
"""How much the order of additions may move an answer, relative and absolute. A larger difference means that the graph
lets rows look at each other."""


def make_archive(places: ProcessingPlaces, *, approved: str) -> None:
    """Write model.tar.gz. Raises ArtefactError for a graph that does not answer as the workload's task wants it.

    `approved` is the digest of the model."""
    if not approved:
        raise ArtefactError("MILLRACE_EXTERNAL_DIGEST: expected the digest of the external model, got none")
    config = places.input("config")
    workload, contract, run = (
        read_workload(config / "workload.yaml"),
        load_contract(config),
        read_run(config / "run.json"),
    )
    # What can be judged without an answer comes first: the digest, the features and the form of the output.
    given = external.read(places.input("external_model"), approved=approved)
    task = tasks.declare(workload.prediction, contract.label)
    features = external.features_of(given, workload, contract)
    external.check_output(given, task)
    table = read_rows(
        places.input("data"), config / "schema.json", workload=workload, contract=contract, features=features
    )
    rows = examples(table, workload=workload, features=features).table
    tensors = encoders.encode(features, rows.slice(0, TRIED_ROWS))
    links = Digests(**{what: getattr(run, f"{what}_digest") for what in PINNED})

    def made(rows_per_pass: RowsPerPass) -> Artefact:
        return external.artefact_of(
            given,
            features=features,
            task=task,
            label=workload.prediction.label,
            links=links,
            rows_per_pass=rows_per_pass,
        )

    # The last of PASSES answers one row at a time, so one of them always answers rows alike.
    artefact = next(one for one in map(made, PASSES) if _answers_rows_alike(one, tensors, task))
    write_archive(places.output("model") / ARCHIVE, artefact)
    print(f"external model {given.digest}: {len(given.onnx)} bytes, tried on {len(next(iter(tensors.values())))} rows")


def _answers_rows_alike(artefact: Artefact, tensors: Tensors, task: Task) -> bool:
    """Whether the answer to a row has the same bits alone and among other rows.

    Raises ArtefactError if the answers are not even close, or if they are not in the range of the task."""
    model = Model(artefact)
    output_NW = model.outputs(tensors)
    _check_range(output_NW, task)
    same = True
    for rows, alone_NW in _alone(model, tensors):
        among_NW = output_NW[rows]
        if not np.allclose(alone_NW, among_NW, rtol=TOLERANCE, atol=TOLERANCE):
            far = float(np.abs(alone_NW - among_NW).max())
            expected = "the same answer to a row whatever rows come with it"
            raise ArtefactError(f"model.onnx: expected {expected}, got answers {far:.3g} apart")
        same &= bool((alone_NW == among_NW).all())
    return same


def _alone(model: Model, tensors: Tensors) -> Iterator[tuple[slice, Output]]:
    """Some single rows, then the first half of the rows together: their places and their answers."""
    rows = len(next(iter(tensors.values())))
    parts = [slice(at, at + 1) for at in np.linspace(0, rows - 1, min(rows, ALONE_ROWS), dtype=np.int64).tolist()]
    for part in (*parts, slice(0, (rows + 1) // 2)):
        yield part, model.outputs({name: value[part] for name, value in tensors.items()})


def _check_range(output_NW: Output, task: Task) -> None:
    """Raise ArtefactError for answers that are not finite, or no probabilities where the task asks for them."""
    if not np.isfinite(output_NW).all():
        rows = int((~np.isfinite(output_NW)).any(axis=1).sum())
        raise ArtefactError(f"model.onnx: expected finite answers, {rows} of {len(output_NW)} rows have none")
    activation = task.objective.activation
    if not activation:
        return
    lowest, highest = float(output_NW.min()), float(output_NW.max())
    together = np.abs(output_NW.sum(axis=1) - 1).max() if activation == "softmax" else 0.0
    if lowest < 0 or highest > 1 or together > TOLERANCE:
        expected = f"probabilities, the graph's end is a {activation}"
        raise ArtefactError(f"model.onnx: output: expected {expected}, got numbers from {lowest:.3g} to {highest:.3g}")
