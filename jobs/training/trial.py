"""Tries candidates: trains each on the rows of a file for a share of the time, and judges it on the validation rows.

How long a candidate trains is counted in rows and multiplications, not in seconds, so equal rows give equal figures.
Clocks only end what takes longer than the whole trial may.

Axes: N rows, V validation rows, W numbers of an answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from threadpoolctl import threadpool_limits

from millrace.contract.load import load_contract
from millrace.contract.schema import LINE, Contract
from millrace.datasets.examples import LABEL, Examples, entities_of, examples
from millrace.datasets.split import spread
from millrace.errors import MillraceError
from millrace.evaluation.bootstrap import days
from millrace.evaluation.measures.contenders import scores
from millrace.evaluation.naive.rule import LabelledRows
from millrace.evaluation.simple.catalogue import SIMPLE
from millrace.evaluation.simple.matrix import Matrix, matrix
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.jobs.runtime import Stopped, StopSignal, TrainingPlaces
from millrace.jobs.training import loop
from millrace.jobs.training.arithmetic import multiplications
from millrace.jobs.training.beside import Beside
from millrace.jobs.training.choice import settle, stretches_of
from millrace.jobs.training.initial_model import pretrained_encoder
from millrace.jobs.training.loader import Resident
from millrace.jobs.training.loop import TrainingInputs
from millrace.jobs.training.setting import bounds_of
from millrace.messages.training_job import CONFIG_CHANNEL, DATA_CHANNEL
from millrace.messages.trial import CANDIDATES, MINUTES, ROWS, USUAL, NotTried, Tried
from millrace.models.predictor import build
from millrace.models.pretrained import PretrainedEncoder, encode
from millrace.tasks import catalogue as tasks
from millrace.tasks.task import Task
from millrace.workload.declaration import Workload
from millrace.workload.load import read_workload

PROCESSORS = 2
"""The budget is that of two processors, however many there are: the figures must not depend on the machine."""
TRAINED_SHARE = 0.4
"""The share of the time that is planned for training. The rest is for encoding, for rivals, and for slower machines."""
LATE = 1.75
"""A trial ends after so many times its minutes, if other programs leave it less than the processors of its budget."""
MULTIPLICATIONS, STEPS = 3e9, 1_000
"""What a processor is counted on for in a second: multiplications of forward passes, and steps of no size.

Measured on one busy core: 2.7e9 for a recurrent network, 4e9 to 8e9 for dense layers."""
FEWEST_EPOCHS = 5
"""If the time is not enough for so many epochs of all rows, a candidate learns from fewer rows."""
FAILURES = (MillraceError, ArithmeticError, RuntimeError, ValueError)
"""What rows that do not suit a candidate raise: our own errors, and those of numpy, scikit-learn and torch."""
RIVAL_CELLS = 4_000_000
"""The most cells that a simple model is fitted on: boosted trees take some ten seconds for them."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The cost of each validation row, and by which row that is."""

    line_V: npt.NDArray[np.int64]
    """The lines of the rows in the file."""
    block_V: npt.NDArray[np.intp]
    score_V: npt.NDArray[np.float64]
    measure: str
    wrong: float | None = None
    epochs: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TrialRows:
    """The rows as one candidate sees them."""

    workload: Workload
    task: Task
    fitted: Features
    pretrained: PretrainedEncoder | None
    examples: Examples
    target_N: npt.NDArray[Any]

    def part(self, name: str, most: int | None = None) -> pa.Table:
        """A part of the rows; with `most` only so many of them, spread evenly."""
        return self.examples.table.take(self.places(name, most))

    def places(self, name: str, most: int | None = None) -> npt.NDArray[np.int64]:
        part: slice = getattr(self.examples.parts, name)
        return spread(part, most or part.stop - part.start)

    def resident(self, name: str, most: int | None = None) -> Resident:
        tensors = encode(self.fitted, self.part(name, most), self.pretrained)
        held = {key: torch.from_numpy(value) for key, value in tensors.items()}
        return Resident(tensors=held, target_N=torch.from_numpy(self.target_N[self.places(name, most)]))

    def judged(self, output_VW: npt.NDArray[np.floating], rows_V: npt.NDArray[np.bool_] | None = None) -> Judged:
        """The cost of these answers to the validation rows, or to those that `rows_V` selects."""
        parts = self.examples.parts
        answered = slice(None) if rows_V is None else rows_V
        by_score = scores(self.task, output_VW, self.target_N[parts.validation][answered])
        measure = "log_loss" if "log_loss" in by_score else "error"
        times_V = self.examples.times_N[parts.validation]
        block_V = days(times_V) if parts.is_in_time else entities_of(self.part("validation"), self.workload)
        lines_V = self.part("validation")[LINE].to_numpy()
        return Judged(
            line_V=lines_V[answered],
            block_V=block_V[answered],
            score_V=by_score[measure],
            measure=measure,
            wrong=float(by_score["error"].mean()) if self.task.error_is_share else None,
        )


def run_trial(places: TrainingPlaces, stop: StopSignal) -> None:
    """Try all candidates of the config channel, and print a line for each that ended in time, and for each rival.

    One that fails has a line that says why, and ends no other."""
    began, config, minutes = time.monotonic(), places.channel(CONFIG_CHANNEL), float(places.hyperparameters[MINUTES])
    contract = load_contract(config)
    with pa.memory_map(str(places.channel(DATA_CHANNEL) / ROWS)) as file:
        table = pa.ipc.open_file(file).read_all()
    files = sorted((config / CANDIDATES).glob("*.yaml"), key=lambda path: int(path.stem))
    planned_s = TRAINED_SHARE * 60 * minutes * PROCESSORS / len(files)

    def is_late() -> bool:
        # The first clock is that of the process: other programs on the machine change it little.
        limit_s = 60 * minutes
        return stop.came or time.process_time() > limit_s or time.monotonic() - began > LATE * limit_s

    # The usual candidate comes first: without it nothing is gained by the others.
    first = files[int(places.hyperparameters[USUAL])]
    files.sort(key=lambda path: path != first)
    calls: dict[tuple[str, str], Callable[[], Judged | None]] = {
        ("candidate", path.stem): partial(_candidate, path, contract, table, places, planned_s, is_late)
        for path in files
    }
    with suppress(*FAILURES):  # it is told as the candidate's, and there is nothing to fit a simple model on
        calls |= {("rival", name): call for name, call in _rivals(_rows(first, contract, table, places))}
    # One thread for each call: as many of them go on at once as there are processors.
    with (
        threadpool_limits(limits=1),
        Beside([partial(_result, call) for call in calls.values()], processes=PROCESSORS) as shared,
    ):
        found = dict(zip(calls, shared.results(), strict=True))
    for (who, name), why in found.items():
        if isinstance(why, str):
            print(NotTried.model_validate({"who": who, "name": name, "why": why}).model_dump_json(), flush=True)
    for tried in _compared({key: judged for key, judged in found.items() if isinstance(judged, Judged)}):
        print(tried.model_dump_json(), flush=True)


def _result(call: Callable[[], Judged | None]) -> Judged | str | None:
    """What the call returns, or why it failed."""
    try:
        return call()
    except FAILURES as error:
        return str(error)


def _rows(path: Path, contract: Contract, table: pa.Table, places: TrainingPlaces) -> TrialRows:
    workload = read_workload(path)
    features = encoders.declare(workload.prediction.features, contract.rows)
    pretrained = pretrained_encoder(places, workload.training, features)
    features = pretrained.declare(features) if pretrained else features
    task = tasks.declare(workload.prediction, contract.label)
    found = examples(table, workload=workload, features=features)
    return TrialRows(
        workload=workload,
        task=task,
        fitted=encoders.fit(features, found.part(found.parts.train)),
        pretrained=pretrained,
        examples=found,
        target_N=task.targets(found.table[LABEL]),
    )


def _candidate(
    path: Path,
    contract: Contract,
    table: pa.Table,
    places: TrainingPlaces,
    planned_s: float,
    is_late: Callable[[], bool],
) -> Judged | None:
    """The candidate's judgement; None if it was not done in time."""
    if is_late():
        return None
    began = time.process_time()
    rows = _rows(path, contract, table, places)
    inputs = replace(_planned(rows, planned_s), bounds=bounds_of(contract))
    try:
        trained = loop.train(inputs, stop=is_late)
    except Stopped:
        return None
    settle(trained.predictor, inputs)
    with torch.no_grad():
        answers = [trained.predictor(**piece.tensors) for piece in inputs.validation.pieces()]
    judged = rows.judged(torch.cat(answers).numpy())
    best = min(trained.history, key=lambda epoch: epoch.validation_loss)
    return replace(judged, epochs=best.epoch + 1, seconds=time.process_time() - began)


def _planned(rows: TrialRows, planned_s: float) -> TrainingInputs:
    """The inputs of a training that takes about so many seconds on one processor, and no more epochs than declared."""
    parameters, signature = rows.workload.training.family_parameters(), encoders.signature(rows.fitted)
    row = {name: value[:1] for name, value in rows.resident("train", 1).tensors.items()}
    per_row_s = multiplications(build(parameters, signature, rows.task.objective).network, row) / MULTIPLICATIONS
    per_row_s += 1 / (STEPS * parameters.batch_size)
    once_s = rows.pretrained.file.kind.row_s if rows.pretrained else 0.0  # before the first epoch
    most = int(planned_s / (once_s + FEWEST_EPOCHS * per_row_s))
    train = rows.resident("train", max(parameters.batch_size, most))
    epochs = max(1, min(parameters.epochs, int((planned_s / len(train) - once_s) / per_row_s)))
    return TrainingInputs(
        parameters=parameters.model_copy(update={"epochs": epochs, "patience": min(parameters.patience, epochs)}),
        signature=signature,
        task=rows.task,
        train=train,
        validation=rows.resident("validation"),
        pretrained=rows.pretrained,
        block_V=stretches_of(rows.examples, rows.examples.parts, rows.workload),
        identity="",
    )


def _rivals(rows: TrialRows) -> Iterator[tuple[str, Callable[[], Judged | None]]]:
    """The declared naive rule, and the simple models that suit the task."""
    yield "naive", partial(_naive, rows)
    if rows.workload.gates.simple is None:
        return
    declared = encoders.signature(rows.fitted)
    held = matrix(encoders.encode(rows.fitted, rows.part("validation")), declared)
    width = held.number_NC.shape[1] + held.category_NK.shape[1]
    most = max(1_000, RIVAL_CELLS // max(width, 1))
    train = matrix(encoders.encode(rows.fitted, rows.part("train", most)), declared)
    target_M = rows.target_N[rows.places("train", most)]
    for kind in dict.fromkeys(["linear", rows.workload.gates.simple.kind]):
        yield kind, partial(_simple, rows, kind, train, target_M, held)


def _naive(rows: TrialRows) -> Judged | None:
    began, found, prediction = time.process_time(), rows.examples, rows.workload.prediction
    labelled = LabelledRows.of(
        found.table,
        rows.target_N,
        found.times_N,
        key=prediction.key,
        event_time=prediction.event_time,
        test=found.parts.validation,
    )
    try:
        answer = rows.workload.gates.baseline.answer(labelled, rows.task)
    except MillraceError:  # it can answer none of these rows
        return None
    return replace(rows.judged(answer.output_TW, answer.rows_T), seconds=time.process_time() - began)


def _simple(rows: TrialRows, kind: str, train: Matrix, target_M: npt.NDArray[Any], held: Matrix) -> Judged:
    began = time.process_time()
    judged = rows.judged(SIMPLE[kind].fit(train, target_M, rows.task)(held))
    return replace(judged, seconds=time.process_time() - began)


def _compared(found: Mapping[tuple[str, str], Judged]) -> Iterator[Tried]:
    """Each with its figure, and by how much it is behind the best candidate, on the rows that all candidates know."""
    candidates = [judged for (who, _), judged in found.items() if who == "candidate"]
    if not candidates:
        return
    common = reduce(np.intersect1d, [judged.line_V for judged in candidates])
    best = min((_on(judged, common) for judged in candidates), key=lambda judged: float(judged.score_V.mean()))
    for (who, name), judged in found.items():
        # A rule that looks back may lack some rows.
        own = _on(judged, common)
        known = _on(best, own.line_V)
        behind_V = own.score_V - known.score_V
        yield Tried.model_validate(
            {
                "who": who,
                "name": name,
                "measure": judged.measure,
                "figure": float(own.score_V.mean()),
                "behind": float(behind_V.mean()),
                "deviation": _standard_error(behind_V, own.block_V),
                "wrong": judged.wrong,
                "rows": len(behind_V),
                "epochs": judged.epochs,
                "seconds": round(judged.seconds, 1),
            }
        )


def _on(judged: Judged, lines: npt.NDArray[np.int64]) -> Judged:
    """The rows of these lines, in the order of lines."""
    order = np.argsort(judged.line_V)
    kept = order[np.isin(judged.line_V[order], lines)]
    return replace(judged, line_V=judged.line_V[kept], block_V=judged.block_V[kept], score_V=judged.score_V[kept])


def _standard_error(value_V: npt.NDArray[np.float64], block_V: npt.NDArray[np.intp]) -> float:
    """The standard error of the mean of values whose blocks are drawn whole."""
    sums = np.bincount(block_V, weights=value_V - value_V.mean())
    return float(np.sqrt((sums**2).sum()) / len(value_V))
