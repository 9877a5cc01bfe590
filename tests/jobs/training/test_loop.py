"""What a trial plans and how it compares: by rows that all know, with whole days as draws."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.optimize import minimize_scalar
from torch.nn import functional

from millrace.errors import ArtefactError, TrainingError
from millrace.features.signature import TensorSpec
from millrace.jobs.runtime import Stopped
from millrace.jobs.training import checkpoint
from millrace.jobs.training.average import Average
from millrace.jobs.training.choice import BOUNDS, fit_temperature
from millrace.jobs.training.loop import TrainingInputs, train
from millrace.jobs.training.trial import Judged, _compared, _standard_error
from millrace.models.cnn.declaration import Cnn
from millrace.models.parameters import Schedule
from millrace.models.predictor import build
from tests.jobs.training.inputs import assert_equal, training_inputs


@pytest.fixture
def inputs() -> TrainingInputs:
    return training_inputs()


@pytest.fixture(params=["plain", "images", *get_args(Schedule)])
def resumed(request: pytest.FixtureRequest, inputs: TrainingInputs) -> TrainingInputs:
    """With the plain loop, with everything that a step may do besides, and with weights that are not in order."""
    if request.param == "plain":
        return inputs
    if request.param == "images":
        return of_images(inputs)
    return changed(inputs, schedule=request.param, ema=0.9, label_smoothing=0.1, class_balance=True)


def of_images(inputs: TrainingInputs) -> TrainingInputs:
    """The same labels, and noise as images."""
    images = torch.randint(0, 256, (950, 1, 4, 4), generator=torch.Generator().manual_seed(7), dtype=torch.uint8)
    return dataclasses.replace(
        inputs,
        parameters=Cnn(channels=(3, 4), hidden=4, epochs=6, batch_size=64, patience=3, seed=3),
        signature=(TensorSpec(name="image", dtype="uint8", shape=(1, 4, 4)),),
        train=dataclasses.replace(inputs.train, tensors={"image": images[:650]}),
        validation=dataclasses.replace(inputs.validation, tensors={"image": images[650:]}),
    )


def changed(inputs: TrainingInputs, **parameters: object) -> TrainingInputs:
    return dataclasses.replace(inputs, parameters=inputs.parameters.model_copy(update=parameters))


def test_learns(inputs: TrainingInputs) -> None:
    trained = train(inputs)
    assert min(epoch.validation_error for epoch in trained.history) < 0.22
    assert trained.history[-1].train_loss < trained.history[0].train_loss
    assert not trained.predictor.training


def test_keeps_the_weights_of_the_best_epoch(inputs: TrainingInputs) -> None:
    trained = train(inputs)
    with torch.no_grad():
        raw_NW = trained.predictor.network(**inputs.validation.tensors)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(raw_NW[:, 0], inputs.validation.target_N)
    assert float(loss) == pytest.approx(min(epoch.validation_loss for epoch in trained.history), abs=1e-6)


def test_stops_after_so_many_epochs_without_a_better_one(inputs: TrainingInputs) -> None:
    worse = inputs.parameters.model_copy(update={"epochs": 200, "learning_rate": 0.1, "patience": 2})
    history = train(dataclasses.replace(inputs, parameters=worse)).history
    best = min(history, key=lambda epoch: epoch.validation_loss)
    assert len(history) == best.epoch + 1 + 2
    assert len(history) < 200


@pytest.mark.parametrize("steps", [0, 1, 13, 10, 47])
def test_goes_on_exactly_where_it_was_stopped(resumed: TrainingInputs, tmp_path: Path, steps: int) -> None:
    """10 steps an epoch: at the start, within an epoch, at its end."""
    calls = itertools.count()
    with pytest.raises(Stopped):
        train(resumed, checkpoints=tmp_path, stop=lambda: next(calls) >= steps)
    torch.manual_seed(999)  # another process has another random state
    assert_equal(train(resumed, checkpoints=tmp_path), train(resumed))


def test_the_learning_rate_falls_to_nothing_over_the_epochs(inputs: TrainingInputs) -> None:
    """Half of the cosine: from one to zero, half of it in the middle. The last steps change next to nothing."""
    rates: list[float] = []
    step = torch.optim.AdamW.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", lambda self: rates.append(self.param_groups[0]["lr"]) or step(self))
        train(changed(inputs, schedule="cosine", patience=99))
    assert len(rates) == 60
    assert rates[0] == 0.01
    assert rates[30] == pytest.approx(0.005)
    assert rates[-1] < 1e-5
    assert rates == sorted(rates, reverse=True)


def test_the_average_is_what_is_judged_and_kept(inputs: TrainingInputs) -> None:
    """One epoch of ten steps, so that the best is the last: by hand from the weights after each step."""
    seen: list[list[torch.Tensor]] = []
    once, follow = changed(inputs, ema=0.8, epochs=1), Average.follow

    def noting(self: Average, step: int) -> None:
        seen.append([value.clone() for value in self._its])
        follow(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Average, "follow", noting)
        trained = train(once)
    torch.manual_seed(once.parameters.seed)
    mean = [p.detach().clone() for p in build(once.parameters, once.signature, once.task.objective).parameters()]
    for step, weights in enumerate(seen):
        share = 1 - min(0.8, (1 + step) / (10 + step))
        mean = [(1 - share) * old + share * new for old, new in zip(mean, weights, strict=True)]
    for kept, expected, last in zip(trained.predictor.parameters(), mean, seen[-1], strict=True):
        torch.testing.assert_close(kept, expected, check_device=False)
        assert not torch.equal(kept, last)
    with torch.no_grad():
        raw_NW = trained.predictor.network(**inputs.validation.tensors)
    loss = trained.predictor.loss(raw_NW, inputs.validation.target_N)
    assert float(loss) == trained.history[0].validation_loss


@pytest.mark.parametrize(("row", "of"), [(0, "train"), (17, "train"), (3, "validation")])
def test_a_loss_that_is_no_number_stops_the_training(inputs: TrainingInputs, row: int, of: str) -> None:
    getattr(inputs, of).tensors["numbers"][row, 1] = torch.nan
    with pytest.raises(TrainingError, match=rf"epoch 0.*: expected a finite {of}\w* loss, got nan"):
        train(inputs)


def test_weights_that_are_no_numbers_are_in_no_checkpoint(inputs: TrainingInputs, tmp_path: Path) -> None:
    inputs.train.tensors["numbers"][:, 1] = torch.inf
    with pytest.raises(TrainingError, match="epoch 0, step 0: "):
        train(inputs, checkpoints=tmp_path, checkpoint_every_s=0)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.NAME]
    with safe_open(tmp_path / checkpoint.NAME, "pt") as file:
        assert json.loads(file.metadata()["progress"])["at"]["step"] == 0


def test_a_checkpoint_of_every_step_changes_nothing(inputs: TrainingInputs, tmp_path: Path) -> None:
    assert_equal(train(inputs, checkpoints=tmp_path, checkpoint_every_s=0), train(inputs))
    assert sorted(path.name for path in tmp_path.iterdir()) == [checkpoint.BEFORE, checkpoint.NAME]


def test_the_checkpoint_of_another_training_is_refused(inputs: TrainingInputs, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train(inputs, checkpoints=tmp_path, stop=lambda: True)
    with pytest.raises(ArtefactError, match="expected a checkpoint of the training other, got one of inputs"):
        train(dataclasses.replace(inputs, identity="other"), checkpoints=tmp_path)


@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_what_is_no_checkpoint_is_refused(inputs: TrainingInputs, tmp_path: Path, content: bytes) -> None:
    (tmp_path / checkpoint.NAME).write_bytes(content)
    with pytest.raises(ArtefactError, match="expected a checkpoint"):
        train(inputs, checkpoints=tmp_path)


@pytest.mark.parametrize("damage", ["a flipped bit", "cut off", "gone", "foreign"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_used(
    inputs: TrainingInputs, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = itertools.count()
    with pytest.raises(Stopped):
        train(inputs, checkpoints=tmp_path, checkpoint_every_s=0, stop=lambda: next(calls) >= 23)
    last = tmp_path / checkpoint.NAME
    content = bytearray(last.read_bytes())
    if damage == "gone":
        last.unlink()
    elif damage == "foreign":
        (other := tmp_path / "other").mkdir()
        with pytest.raises(Stopped):
            train(dataclasses.replace(inputs, identity="other"), checkpoints=other, stop=lambda: True)
        (other / checkpoint.NAME).rename(last)
    else:
        content[-5] ^= 1  # within the last tensor: its size is right, its value is not
        last.write_bytes(content if damage == "a flipped bit" else content[:-5])
    assert_equal(train(inputs, checkpoints=tmp_path), train(inputs))
    said = capsys.readouterr().out
    assert ("goes on from the one before" in said) == (damage != "gone")


def of_two(raw_N: np.ndarray, label_N: np.ndarray) -> float:
    def loss(raw_N1: torch.Tensor, target_N: torch.Tensor) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(raw_N1[:, 0], target_N)

    return fit_temperature(torch.from_numpy(raw_N)[:, None], torch.from_numpy(label_N), loss)


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 3.0])
def test_finds_the_temperature_of_the_lowest_log_loss(true_temperature: float) -> None:
    rng = np.random.default_rng(0)
    logit_N = rng.normal(0, 2, 2000)
    label_N = (rng.random(2000) < 1 / (1 + np.exp(-logit_N / true_temperature))).astype(float)

    def loss(log_temperature: float) -> float:
        z_N = logit_N / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, z_N) - label_N * z_N))

    expected = np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-10}).x)
    found = of_two(logit_N, label_N)
    assert found == pytest.approx(expected, rel=1e-4)
    assert found == pytest.approx(true_temperature, rel=0.15)


def test_stays_in_bounds_where_no_temperature_is_best() -> None:
    logit_N = np.array([-1.0, 1.0, 2.0])
    assert of_two(logit_N, np.array([0.0, 1.0, 1.0])) == pytest.approx(BOUNDS[0])
    assert of_two(logit_N, np.array([1.0, 0.0, 0.0])) == pytest.approx(BOUNDS[1])


def judged(score_V: list[float], lines: list[int] | None = None, days: list[int] | None = None) -> Judged:
    line_V = np.array(lines or range(len(score_V)), np.int64)
    return Judged(
        line_V=line_V,
        block_V=np.array(days or range(len(score_V)), np.intp),
        score_V=np.array(score_V),
        measure="error",
    )


def test_candidates_are_compared_on_the_rows_that_all_of_them_know() -> None:
    """A longer history leaves out the rows after a gap, which may be the hard ones. Lines come in any order."""
    short, long = judged([9.0, 9.0, 1.0, 2.0]), judged([2.5, 1.5], lines=[3, 2])
    rule = judged([4.0], lines=[3])
    found = list(_compared({("candidate", "0"): short, ("candidate", "1"): long, ("rival", "naive"): rule}))
    assert [(each.name, each.figure, each.behind, each.rows) for each in found] == [
        ("0", 1.5, 0.0, 2),
        ("1", 2.0, 0.5, 2),
        ("naive", 4.0, 2.0, 1),
    ]


def test_without_a_candidate_there_is_nothing_to_compare() -> None:
    assert list(_compared({("rival", "naive"): judged([1.0])})) == []


def test_rows_of_a_day_are_one_draw() -> None:
    values = np.repeat([1.0, 3.0, 2.0, 2.0], 25)
    rows, days = np.arange(100), np.repeat(np.arange(4), 25)
    assert _standard_error(values, rows) == pytest.approx(values.std() / 10)
    assert _standard_error(values, days) == pytest.approx(values.std() / 2)
