"""A training job, from its input channels to the artefact.

Axes: N all rows, W numbers of a row's answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save

from millrace.artefact.artefact import Artefact, Description, Digests, digest, write_folder
from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.datasets.examples import digest_of_rows, horizon_of
from millrace.datasets.split import Split, earlier_splits, windows
from millrace.errors import TrainingError
from millrace.explanations.reference import Reference, fit_reference
from millrace.features.catalogue import Features
from millrace.jobs.runtime import StopSignal, TrainingPlaces
from millrace.jobs.training import checkpoint, loop
from millrace.jobs.training.beside import Beside
from millrace.jobs.training.choice import choose, settle
from millrace.jobs.training.loader import Resident
from millrace.jobs.training.loop import Epoch, Trained, TrainingInputs
from millrace.jobs.training.processes import ALONE, Processes
from millrace.jobs.training.setting import Setting, TrainingRows, read_setting
from millrace.messages.training_job import (
    KEPT_ERROR,
    KEPT_LOSS,
    TRAIN_LOSS,
    VALIDATION_ERROR,
    VALIDATION_LOSS,
    printed,
)
from millrace.models.export import Exporter, exporter
from millrace.models.likeness import MOST_FITTED, kept, states
from millrace.models.predictor import Predictor
from millrace.tasks.metrics import FrozenErrors
from millrace.tasks.task import Task


def train(places: TrainingPlaces, stop: StopSignal, together: Processes = ALONE, *, memory: int | None = None) -> None:
    """Train the run that the config channel describes, and write its artefact to the model folder.

    Several processes all train; the first one writes. `memory` is how many bytes rows may take in memory; None means
    what the machine has."""
    if not together.is_first:
        _trained(places, stop, together, None, memory)
        return
    # The exporter starts first: its fork must come before torch has computed anything in this process.
    with exporter() as graph:
        artefact = _trained(places, stop, together, graph, memory)
    assert artefact is not None
    # The checkpoint goes last: a job that is stopped before the artefact is whole can still go on from it.
    write_folder(places.model, artefact)
    checkpoint.remove(places.checkpoints)


def _trained(
    places: TrainingPlaces, stop: StopSignal, together: Processes, graph: Exporter | None, memory: int | None
) -> Artefact | None:
    """Train all models of the job. Returns the artefact, or None without an exporter for its graph."""
    setting = read_setting(places)
    rows = setting.read_rows(places, processes=together.local_size, memory=memory)
    parts = rows.examples.parts
    # The encoders learn from the training rows alone: validation and test rows are as new to them as to the network.
    fitted = setting.fit(rows.part(parts.train))
    inputs = setting.inputs(rows, fitted, parts)
    if unlike := setting.unlike_training:
        check_held_out(unlike, len(inputs.validation))
    # The graph depends on shapes and not on weights, so its process makes it while this one trains.
    if graph:
        objective, measures = setting.task.objective, setting.measures_likeness
        graph.begin(inputs.parameters, inputs.signature, objective, measures_likeness=measures)
    # The first process speaks for all.
    report = _print if together.is_first else lambda _: None
    earlier = list(_walk_forward(setting, rows, parts, stop, together))
    more = [*earlier, *_other_seeds(setting, rows, fitted, inputs, stop, together)]
    # The further models are trained in forks where processors are free. With rows in files they are trained one after
    # the other: side by side they would fill the volume with tensors of their own.
    processes = loop.trainings_at_once(inputs, together) if more and rows.files is None else 1
    with Beside(more, processes=processes) as more_models:
        trained = loop.train(
            replace(inputs, measures_likeness=setting.measures_likeness),
            checkpoints=places.checkpoints,
            stop=lambda: stop.came,
            report=report,
            together=together,
        )
        settle(trained.predictor, inputs)
        found = more_models.results(lambda: stop.came)
    # Only the first process has an exporter: it makes the artefact.
    if graph is None:
        return None
    held_distances = measure_held_out(trained.predictor, train=inputs.train, validation=inputs.validation)
    # The row that explanations compare with: the means of the training rows.
    reference = None
    if setting.workload.explanations.rows:
        reference = fit_reference(fitted, {name: value.numpy() for name, value in inputs.train.tensors.items()})
    stop.check("before the artefact was written")
    onnx = graph.finish(trained.predictor.state_dict())
    # The results lie in the order of `more`: first the models of earlier days, then the errors with other seeds.
    walk_forward = cast("tuple[FrozenErrors, ...]", found[: len(earlier)])
    others = cast("tuple[float, ...]", found[len(earlier) :])
    seed_errors = (_test_error(trained.predictor, fitted, setting, rows), *others) if others else ()
    examples = digest_of_rows(rows.examples.table, setting.contract)
    return _artefact(setting, fitted, trained, onnx, walk_forward, seed_errors, held_distances, reference, examples)


def check_held_out(share: float, rows: int) -> None:
    """Raise TrainingError if so few validation rows cannot tell a row that is among the `share` farthest ones."""
    if (least := int(1 / share)) > rows:
        expected = f"at least {least} validation rows, so that {share:g} of them is one row"
        raise TrainingError(f"policy.unlike_training: expected {expected}, got {rows}")


def measure_held_out(predictor: Predictor, *, train: Resident, validation: Resident) -> tuple[float, ...]:
    """Fit the predictor's distance on the training rows. Returns the distances of validation rows, in order.

    The predictor is on the CPU and in evaluation mode. () for one that measures no distance."""
    if predictor.likeness is None:
        return ()
    pieces = train.spread(MOST_FITTED).pieces()
    predictor.likeness.fit(states(predictor.network, (piece.tensors for piece in pieces)))
    held = states(predictor.network, (piece.tensors for piece in validation.pieces()))
    with torch.no_grad():
        return kept(predictor.likeness(held)[:, 0].tolist())


def _walk_forward(
    setting: Setting, rows: TrainingRows, parts: Split, stop: StopSignal, together: Processes
) -> Iterator[Callable[[], FrozenErrors]]:
    """Calls that each train a model of earlier days, the oldest first. Their test days end `test_days` apart.

    A step without enough rows is skipped, and the log says why."""
    training = setting.workload.training
    steps = earlier_splits(
        rows.examples.times_N,
        parts,
        steps=training.walk_forward_steps,
        horizon=horizon_of(setting.workload.prediction),
        **training.days,
    )
    for step in steps:
        if step.parts is None:
            print(f"walk forward to {step.end} is skipped: {step.reason}", flush=True)
        else:
            yield partial(_frozen_model, setting, rows, step.parts, parts.end, stop, together)


def _other_seeds(
    setting: Setting,
    rows: TrainingRows,
    fitted: Features,
    inputs: TrainingInputs,
    stop: StopSignal,
    together: Processes,
) -> Iterator[Callable[[], float]]:
    """Calls that each train the same model with another seed and return its mean error on the test rows.

    There are none unless the gate `stability` is declared."""

    def error(seed: int) -> float:
        parameters = inputs.parameters.model_copy(update={"seed": seed})
        other = replace(inputs, parameters=parameters)
        predictor = loop.train(other, stop=lambda: stop.came, together=together).predictor
        choose(predictor, other)
        return _test_error(predictor, fitted, setting, rows)

    gate = setting.workload.gates.stability
    for number in range(1, 1 + (gate.seeds if gate else 0)):
        yield partial(error, inputs.parameters.seed + number)


def _test_error(predictor: Predictor, fitted: Features, setting: Setting, rows: TrainingRows) -> float:
    return float(_errors(predictor, fitted, setting.task, rows)[rows.examples.parts.test].mean())


def _frozen_model(
    setting: Setting, rows: TrainingRows, earlier: Split, end: np.datetime64, stop: StopSignal, together: Processes
) -> FrozenErrors:
    """Train a model on these earlier parts, and return its errors on every window from its test days up to `end`."""
    predictor, fitted = frozen_predictor(setting, rows, earlier, stop, together)
    errors_N = _errors(predictor, fitted, setting.task, rows)
    found = windows(rows.examples.times_N, start=earlier.test_from, end=end, days=setting.workload.monitors.window_days)
    return FrozenErrors(weeks=tuple(window.error(errors_N) for window in found))


def frozen_predictor(
    setting: Setting, rows: TrainingRows, earlier: Split, stop: StopSignal, together: Processes = ALONE
) -> tuple[Predictor, Features]:
    """The model of these earlier parts, and its encoders."""
    fitted = setting.fit(rows.part(earlier.train))
    inputs = setting.inputs(rows, fitted, earlier)
    predictor = loop.train(inputs, stop=lambda: stop.came, together=together).predictor
    choose(predictor, inputs)
    return predictor, fitted


def _errors(predictor: Predictor, fitted: Features, task: Task, rows: TrainingRows) -> npt.NDArray[np.float64]:
    """The error of every row (N), those of the training days included."""
    every = slice(0, len(rows.target_N))
    return task.errors(outputs(predictor, fitted, rows, every), rows.target_N)


def outputs(predictor: Predictor, fitted: Features, rows: TrainingRows, part: slice) -> npt.NDArray[np.float32]:
    """The model's output (N, W) for a part of the rows."""
    with torch.no_grad():
        return torch.cat([predictor(**piece.tensors) for piece in rows.encoded(fitted, part).pieces()]).numpy()


def _artefact(
    setting: Setting,
    fitted: Features,
    trained: Trained,
    onnx: bytes,
    walk_forward: tuple[FrozenErrors, ...],
    seed_errors: tuple[float, ...],
    held_distances: tuple[float, ...],
    reference: Reference | None,
    examples: str,
) -> Artefact:
    training, run = setting.workload.training, setting.run
    weights = save({name: value.contiguous() for name, value in trained.predictor.state_dict().items()})
    description = Description(
        family=training.family,
        parameters=training.family_parameters().model_dump(mode="json"),
        features=fitted,
        task=setting.task,
        label=setting.workload.prediction.label,
        temperature=float(trained.predictor.temperature),
        digests=Digests(**run.digests, examples=examples, weights=digest(weights), onnx=digest(onnx)),
        torch=torch.__version__,
        rows_per_pass=_rows_per_pass(setting),
        walk_forward=walk_forward,
        seed_errors=seed_errors,
        held_distances=held_distances,
        reference=reference,
        pretrained=setting.pretrained.file.origin if setting.pretrained else None,
        answers=trained.predictor.answers,
    )
    history = json.dumps([asdict(epoch) for epoch in trained.history], indent=1).encode()
    return Artefact(description=description, weights=weights, onnx=onnx, history=history)


def _rows_per_pass(setting: Setting) -> RowsPerPass:
    """That of the family; a frozen encoder in the graph may allow fewer rows."""
    usual = setting.workload.training.family_parameters().rows_per_pass
    return replace(usual, most=min(usual.most, setting.pretrained.file.kind.most_rows)) if setting.pretrained else usual


def _print(history: Sequence[Epoch]) -> None:
    """Print the line of the last epoch, in which SageMaker's MetricDefinitions find the numbers.

    The figures `kept_loss` and `kept_error` are those of the best epoch so far, whose weights are kept."""
    entry, kept = history[-1], min(history, key=lambda epoch: epoch.validation_loss)
    metrics = {
        TRAIN_LOSS: entry.train_loss,
        VALIDATION_LOSS: entry.validation_loss,
        VALIDATION_ERROR: entry.validation_error,
        KEPT_LOSS: kept.validation_loss,
        KEPT_ERROR: kept.validation_error,
    }
    print(f"epoch={entry.epoch} {printed(metrics)} seconds={entry.seconds}", flush=True)
