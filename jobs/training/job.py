"""A training job from channels to artefact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from millrace.features.encoding import Feature, encoding, may_miss, width
from safetensors.torch import save
from torch import nn

from jobs.runtime import StopSignal, TrainingPlaces
from jobs.training import checkpoint, loop
from jobs.training.calibration import fit_temperature
from jobs.training.loop import Epoch, Examples, Task, Trained
from millrace.artefact.artefact import Artefact, Description, Digests, FrozenModel, Input, Week, digest, write_folder
from millrace.contract.load import load_contract
from millrace.datasets.read import matrix, read_snapshot, times, truth
from millrace.datasets.split import Split, Window, split, split_at, windows
from millrace.messages.training_run import Run, read_run
from millrace.workload.declaration import Workload
from millrace.workload.load import read_workload

THRESHOLD = 0.5

Features = tuple[Feature, ...]
Rows = tuple[npt.NDArray[np.datetime64], npt.NDArray[np.float32], npt.NDArray[np.float32]]


def train(places: TrainingPlaces, stop: StopSignal) -> None:
    """Write the artefact of the run that the config channel describes to the model folder."""
    config = places.channel("config")
    run, workload = read_run(config / "run.json"), read_workload(config / "workload.yaml")
    features = encoding(load_contract(config).rows, workload.prediction.features)
    times_N, x_NF, y_N = _rows(places.channel("data"), config / "schema.json", workload, features)
    parts = split(times_N, validation_days=workload.training.validation_days, test_days=workload.training.test_days)
    task = _task(workload, features, x_NF, y_N, parts, run)
    trained = loop.train(task, checkpoints=places.checkpoints, stop=lambda: stop.came, report=_print)
    temperature = _calibrate(trained.network, task.validation)
    walk_forward = tuple(_walk_forward(workload, features, (times_N, x_NF, y_N), parts, run, stop))
    write_folder(places.model, _artefact(workload, features, run, trained, temperature, walk_forward))
    (places.checkpoints / checkpoint.NAME).unlink(missing_ok=True)


def _rows(folder: Path, schema: Path, workload: Workload, features: Features) -> Rows:
    """Event times, encoded features and labels, in the order of event time."""
    surface = workload.prediction
    table = read_snapshot(
        folder,
        schema,
        columns=[*surface.features, surface.label],
        event_time=surface.event_time,
        key=surface.key,
        optional=[feature.name for feature in features if feature.optional],
    )
    y_N = truth(table, surface.label, surface.positive)
    return times(table, surface.event_time), matrix(table, features), y_N


def _task(
    workload: Workload,
    features: Features,
    x_NF: npt.NDArray[np.float32],
    y_N: npt.NDArray[np.float32],
    parts: Split,
    run: Run,
) -> Task:
    def examples(rows: slice) -> Examples:
        return Examples(x_NF=torch.from_numpy(x_NF[rows]), y_N=torch.from_numpy(y_N[rows]))

    family, parameters = workload.training.family, workload.training.family_parameters()
    words = [run.data_digest, run.config_digest, family, parameters.model_dump_json(), str(parts), torch.__version__]
    return Task(
        family=family,
        parameters=parameters,
        may_miss=may_miss(features),
        train=examples(parts.train),
        validation=examples(parts.validation),
        identity=digest("\n".join([*words, str(features)]).encode()),
    )


def _calibrate(network: nn.Module, held: Examples) -> float:
    """Set and return the temperature that suits the validation rows."""
    with torch.no_grad():
        temperature = fit_temperature(network(held.x_NF).numpy(), held.y_N.numpy())
        cast("loop.Network", network).temperature.fill_(temperature)
    return temperature


def _walk_forward(
    workload: Workload, features: Features, rows: Rows, parts: Split, run: Run, stop: StopSignal
) -> Iterator[FrozenModel]:
    """Models that ended some steps of `test_days` before the test days, judged on every window after that.

    An earlier model needs at least a third of the training rows."""
    times_N, x_NF, y_N = rows
    settings = workload.training
    step = np.timedelta64(settings.test_days, "D")
    for back in range(settings.walk_forward_steps, 0, -1):
        end = parts.test_from - step * (back - 1)
        if np.searchsorted(times_N, end - (parts.end - parts.validation_from)) * 3 < parts.train.stop:
            continue
        earlier = split_at(times_N, end, validation_days=settings.validation_days, test_days=settings.test_days)
        task = _task(workload, features, x_NF, y_N, earlier, run)
        network = loop.train(task, stop=lambda: stop.came).network
        with torch.no_grad():
            wrong_N = (network(torch.from_numpy(x_NF)).numpy() >= 0) != (y_N > 0)
        found = windows(times_N, start=earlier.test_from, end=parts.end, days=workload.monitors.window_days)
        yield FrozenModel(trained_until=str(earlier.test_from), weeks=tuple(_week(window, wrong_N) for window in found))


def _week(window: Window, wrong_N: npt.NDArray[np.bool_]) -> Week:
    wrong = wrong_N[window.rows]
    return Week(start=str(window.start), end=str(window.end), rows=len(wrong), error=float(wrong.mean()))


def _artefact(
    workload: Workload,
    features: Features,
    run: Run,
    trained: Trained,
    temperature: float,
    walk_forward: tuple[FrozenModel, ...],
) -> Artefact:
    surface, training = workload.prediction, workload.training
    weights = save({name: value.contiguous() for name, value in trained.network.state_dict().items()})
    onnx = import_module(f"millrace.models.{training.family}.network").graph(trained.network)
    description = Description(
        family=training.family,
        parameters=training.family_parameters().model_dump(mode="json"),
        features=surface.features,
        encoding=() if all(feature.is_plain for feature in features) else features,
        label=surface.label,
        kind=surface.kind,
        threshold=THRESHOLD,
        temperature=temperature,
        digests=Digests(
            data=run.data_digest,
            contract=run.contract_digest,
            config=run.config_digest,
            code=run.code_digest,
            weights=digest(weights),
            onnx=digest(onnx),
        ),
        torch=torch.__version__,
        input=Input(name="features", dtype="float32", shape=(None, width(features))),
        walk_forward=walk_forward,
    )
    history = json.dumps([asdict(epoch) for epoch in trained.history], indent=1).encode()
    return Artefact(description=description, weights=weights, onnx=onnx, history=history)


def _print(entry: Epoch) -> None:
    """One line per epoch; MetricDefinitions find the numbers in it."""
    print(
        f"epoch={entry.epoch} train_loss={entry.train_loss:.6f} validation_loss={entry.validation_loss:.6f} "
        f"validation_accuracy={entry.validation_accuracy:.4f} seconds={entry.seconds}",
        flush=True,
    )
