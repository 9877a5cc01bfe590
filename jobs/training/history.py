"""Trains the versions that a workload could have had on earlier days, and counts their errors on every later day.

Axes: N rows, K lengths of the training days, V versions, D days."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.datasets.examples import examples, horizon_of
from millrace.datasets.split import Split, split_at
from millrace.errors import SnapshotError
from millrace.evaluation.measures.costs import cost_by_row
from millrace.jobs.runtime import StopSignal, TrainingPlaces
from millrace.jobs.training.beside import Beside
from millrace.jobs.training.job import frozen_predictor, outputs
from millrace.jobs.training.setting import Setting, TrainingRows, read_setting
from millrace.messages.training_job import DATA_CHANNEL
from millrace.simulation.history import HISTORY_FILE, ROWS_FILE, STEP_DAYS, TRAIN_DAYS, LivedHistory
from millrace.workload.training import Days, Training

Sums = npt.NDArray[np.float64]

MOST_VERSIONS = 255
"""`Beside` takes no more calls."""
MOST_BEFORE = 2
"""At most one in so many rows comes before the first version: `millrace new` wants nine in ten for a first training."""


def write_history(places: TrainingPlaces, stop: StopSignal) -> None:
    """Write the history of the config channel's workload on the data channel's rows."""
    setting, given = read_setting(places), places.hyperparameters
    with pa.memory_map(str(places.channel(DATA_CHANNEL) / ROWS_FILE)) as file:
        table = pa.ipc.open_file(file).read_all()
    found = examples(table, workload=setting.workload, features=setting.features)
    rows = setting.with_targets(found)
    train_days, step = tuple(json.loads(given[TRAIN_DAYS])), int(given[STEP_DAYS])
    first, days = span(found.times_N, setting.workload.training, step)
    day_N = (found.times_N.astype("datetime64[D]") - first).astype(np.int64)
    errors, costs, seconds = [], [], []
    print(f"{-(-days // step)} trainings for each of {len(train_days)} lengths of the training days", flush=True)
    for length in train_days:
        calls = list(_calls(setting, rows, first, days, length, step, day_N, stop))
        with Beside(calls, processes=len(os.sched_getaffinity(0))) as shared:
            made = shared.results(lambda: stop.came)
        # A day without enough rows before it has no version of its own: the one before stays.
        whole = [one for one in made if one is not None]
        kept, last = [], whole[0]
        for one in made:
            last = one or last
            kept.append(last)
        errors.append([one[0] for one in kept])
        costs.append([one[1] for one in kept])
        seconds += [one[2] for one in whole]
        print(f"{len(whole)} versions of {'all' if length is None else length} days", flush=True)
    history = LivedHistory(
        first=str(first),
        step_days=step,
        test_days=setting.workload.training.test_days,
        train_days=train_days,
        rows_D=np.bincount(day_N[day_N >= 0], minlength=days).astype(np.float64),
        errors_KVD=np.array(errors),
        costs_KVD=None if setting.workload.prediction.costs is None else np.array(costs),
        seconds=float(np.mean(seconds)),
    )
    places.model.mkdir(parents=True, exist_ok=True)
    history.write(places.model / HISTORY_FILE)


Made = tuple["Sums", "Sums | None", float]
"""A version's sums of errors (D) and of costs (D), and the seconds of a processor that its training took."""


def span(times_N: npt.NDArray[np.datetime64], training: Training, step: int) -> tuple[np.datetime64, int]:
    """The first test day of the first training, and the days from there on.

    It is the one that `training.first_rows` started, or half of the rows; of a longer history the newest MOST_VERSIONS
    steps count. Raises SnapshotError if that leaves no two versions."""
    before = max(min(training.first_rows, len(times_N) // MOST_BEFORE), 1)
    enough = times_N[before - 1].astype("datetime64[D]")
    first = enough + np.timedelta64(1 - training.test_days, "D")
    days = int((times_N[-1].astype("datetime64[D]") - first) / np.timedelta64(1, "D")) + 1
    if days <= step:
        expected = f"two steps of {step} days after the first {before:,} rows"
        raise SnapshotError(f"expected {expected}, got {days} days from {first} on")
    left_out = max(days - MOST_VERSIONS * step, 0)
    return first + np.timedelta64(left_out, "D"), days - left_out


def _calls(
    setting: Setting,
    rows: TrainingRows,
    first: np.datetime64,
    days: int,
    length: int | None,
    step: int,
    day_N: npt.NDArray[np.int64],
    stop: StopSignal,
) -> Iterator[Callable[[], Made | None]]:
    training = setting.workload.training
    lengths: Days = {**training.days, "train_days": length}
    for at in range(0, days, step):
        end = first + np.timedelta64(at + training.test_days, "D")
        try:
            parts = split_at(rows.examples.times_N, end, horizon=horizon_of(setting.workload.prediction), **lengths)
        except SnapshotError as error:
            if not at:
                raise
            print(f"no version of {first + at}: {error}", flush=True)
            yield lambda: None
            continue
        yield partial(_version, setting, rows, parts, day_N, days, stop)


def _version(
    setting: Setting, rows: TrainingRows, parts: Split, day_N: npt.NDArray[np.int64], days: int, stop: StopSignal
) -> Made:
    began = time.process_time()
    predictor, fitted = frozen_predictor(setting, rows, parts, stop)
    seconds = time.process_time() - began
    later = slice(parts.test.start, len(rows.target_N))
    output_NW = outputs(predictor, fitted, rows, later)

    def by_day(value_N: Sums) -> Sums:
        return cast("Sums", np.bincount(day_N[later], weights=value_N, minlength=days))

    task, costs = setting.task, setting.workload.prediction.costs
    target_N = rows.target_N[later]
    cost_N = cost_by_row(costs, task, output_NW, target_N) if costs else None
    return by_day(task.errors(output_NW, target_N)), None if cost_N is None else by_day(cost_N), seconds
