"""Who answers where the parts of a model are judged on the validation rows, on rows with a known best part."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from millrace.artefact.artefact import MEAN
from millrace.features.signature import Signature, TensorSpec
from millrace.jobs.training.choice import settle
from millrace.jobs.training.loader import Resident
from millrace.jobs.training.loop import TrainingInputs, train
from millrace.models.export import export
from millrace.models.feedforward.declaration import Feedforward
from millrace.models.parameters import Parameters
from millrace.models.recurrent.declaration import Gru
from millrace.tasks.binary import Binary
from millrace.tasks.interval import Interval
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.regression import Regression
from millrace.tasks.task import Task
from tests.jobs.training.inputs import NUMBERS

PAST = (TensorSpec(name="past", dtype="float32", shape=(24, 1)),)
TASKS = (Regression(), Interval(quantiles=(0.1, 0.9)), Binary(), Multiclass(classes=("a", "b")))
SHORT: dict[str, Any] = {"epochs": 1, "batch_size": 256, "learning_rate": 1e-5, "trees": "best"}
"""A network that has hardly learnt anything."""


def numbers(world: str, rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs, and a signal that trees, a line or nothing at all can follow."""
    random = torch.Generator().manual_seed(seed)
    x_NF = torch.randn(rows, 3, generator=random)
    noise_N = torch.randn(rows, generator=random)
    if world == "trees":
        return x_NF, 4 * torch.sign(x_NF[:, 0]) * torch.sign(x_NF[:, 1]) + 0.3 * noise_N
    return x_NF, 4 * x_NF.sum(1) + 0.3 * noise_N if world == "linear model" else noise_N


def inputs(task: Task, world: str) -> TrainingInputs:
    parts = []
    for rows, seed in ((1500, 1), (600, 2)):
        x_NF, signal_N = numbers(world, rows, seed)
        classes = {"binary": (signal_N > 0).float(), "multiclass": (signal_N > 0).long()}
        parts.append(Resident(tensors={"numbers": x_NF}, target_N=classes.get(task.kind, signal_N)))
    return of(task, Feedforward(hidden=(4,), **SHORT), NUMBERS, *parts)


def of(task: Task, parameters: Parameters, signature: Signature, train: Resident, held: Resident) -> TrainingInputs:
    return TrainingInputs(
        parameters=parameters,
        signature=signature,
        task=task,
        train=train,
        validation=held,
        block_V=np.arange(len(held)) // 10,
        identity="choice",
    )


@pytest.mark.parametrize("world", ["trees", "linear model", MEAN])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_what_is_certainly_best_answers_alone(task: Task, world: str) -> None:
    """The graph says the same, bit by bit, for a row in any company."""
    given = inputs(task, world)
    predictor = train(given).predictor
    settle(predictor, given)
    assert predictor.answers == world
    session = onnxruntime.InferenceSession(export(predictor, NUMBERS), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_outputs()] == ["output", *predictor.parts]
    x_NF = given.validation.tensors["numbers"].numpy()
    answer, *parts = session.run(None, {"numbers": x_NF})
    of_parts = dict(zip(predictor.parts, parts, strict=True))
    expected = of_parts[world] if world != MEAN else (of_parts["network"] + of_parts["trees"]) / 2
    assert np.array_equal(answer, expected)
    alone = [session.run(["output"], {"numbers": x_NF[at : at + 1]})[0] for at in range(20)]
    assert np.array_equal(np.concatenate(alone), answer[:20])


def test_nothing_is_certain_on_few_blocks() -> None:
    given = inputs(Regression(), "trees")
    given = TrainingInputs(**{**vars(given), "block_V": np.zeros(600, np.intp)})
    predictor = train(given).predictor
    settle(predictor, given)
    assert predictor.answers == MEAN


def test_a_daily_season_reaches_trees_and_a_linear_model_through_the_past() -> None:
    """An hourly series whose next value is near that of a day before, which only the oldest step has."""
    random = np.random.default_rng(0)
    day = random.normal(size=24) * 5
    series = np.tile(day, 60) + np.cumsum(random.normal(size=1440) * 0.05)
    past = np.lib.stride_tricks.sliding_window_view(series, 24)[:-1, :, None].astype(np.float32)
    past_NTF, next_N = torch.from_numpy(past.copy()), torch.from_numpy(series[24:]).float()
    rows = [
        Resident(tensors={"past": past_NTF[part]}, target_N=next_N[part]) for part in (slice(1000), slice(1000, None))
    ]
    given = of(Regression(), Gru(**SHORT), PAST, *rows)
    predictor = train(given).predictor
    settle(predictor, given)
    assert predictor.answers in ("trees", "linear model")
    answer = predictor(**rows[1].tensors)[:, 0].detach().numpy()
    assert np.abs(answer - rows[1].target_N.numpy()).mean() < 0.2 * np.abs(np.diff(series)).mean()
