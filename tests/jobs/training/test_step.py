"""What a GPU does to a step, without one: captures that fail, that replay, networks that no compiler takes."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from millrace.errors import TrainingError, WorkloadError
from millrace.jobs.training import loop, loss
from millrace.jobs.training.loader import PIECE, PIECE_BYTES, Batch, Resident, Streamed, place
from millrace.jobs.training.loop import Trained, train
from millrace.jobs.training.loss import Loss
from millrace.jobs.training.processes import Processes
from millrace.jobs.training.step import WARM, Compute, Step
from millrace.models.feedforward.declaration import Feedforward
from millrace.models.initial_model import InitialModel
from millrace.models.predictor import build
from millrace.tasks.binary import Binary
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.multilabel import Multilabel
from millrace.tasks.regression import Regression
from millrace.tasks.task import Task
from tests.jobs.training.inputs import NUMBERS, assert_equal, examples, training_inputs

INPUTS = training_inputs(epochs=3, schedule="cosine", ema=0.9)


class Recorder:
    """A capture without a GPU: a batch goes to its place, from where the recorded step takes it; or it fails."""

    def __init__(self, failure: str = "") -> None:
        self.failure, self.warmed, self.replayed = failure, 0, 0

    def warm(self, compute: Compute, batch: Batch) -> Tensor:
        self.warmed += 1
        return compute(batch)

    def record(self, compute: Compute, batch: Batch) -> Compute:
        if self.failure:
            raise RuntimeError(self.failure)
        held = batch.each(torch.clone)

        def replay(given: Batch) -> Tensor:
            self.replayed += 1
            for name, value in given.tensors.items():
                held.tensors[name].copy_(value)
            held.target_B.copy_(given.target_B)
            return compute(held)

        return replay


@pytest.fixture
def trained_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Recorder], Trained]:
    """The training with this capture."""

    def run(capture: Recorder) -> Trained:
        monkeypatch.setattr(loop, "Step", lambda *given, **named: Step(*given, **{**named, "capture": capture}))
        return train(INPUTS)

    return run


def test_a_step_that_is_captured_computes_the_same(trained_with: Callable[[Recorder], Trained]) -> None:
    capture = Recorder()
    expected = train(INPUTS)
    assert_equal(trained_with(capture), expected)
    assert (capture.warmed, capture.replayed) == (WARM, 30 - WARM)


def test_a_step_that_cannot_be_captured_is_computed_call_by_call(
    trained_with: Callable[[Recorder], Trained], capsys: pytest.CaptureFixture[str]
) -> None:
    capture = Recorder("operation not permitted when stream is capturing\nand more")
    expected = train(INPUTS)
    assert_equal(trained_with(capture), expected)
    assert capture.warmed == WARM
    told = capsys.readouterr().out
    assert told == "the step is not captured: operation not permitted when stream is capturing\n"


def fail_to_compile(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Each compiled network raises the error at its first step."""

    def compiled(**_: Tensor) -> Tensor:
        raise error

    monkeypatch.setattr(torch, "compile", lambda _: compiled)
    monkeypatch.setattr(loop, "Step", lambda *given, **named: Step(*given, **{**named, "is_compiled": True}))


def test_a_network_that_no_compiler_takes_is_computed_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = train(INPUTS)
    fail_to_compile(monkeypatch, RuntimeError("Unsupported: a loop"))
    assert_equal(train(INPUTS), expected)
    assert capsys.readouterr().out == "the network is not compiled: Unsupported: a loop\n"


def test_rows_that_do_not_fit_are_streamed_to_the_same_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_equal(train(INPUTS, room=100), train(INPUTS))
    assert "are streamed to the device" in capsys.readouterr().out
    here = torch.device("cpu")
    streamed = place(INPUTS.train, here, room=INPUTS.train.bytes - 1)
    assert isinstance(streamed, Streamed)
    assert not isinstance(place(INPUTS.train, here, room=INPUTS.train.bytes), Streamed)
    order_SB = streamed.order(seed=1, size=64)
    for one, other in zip(streamed.batches(order_SB), INPUTS.train.batches(order_SB), strict=True):
        assert torch.equal(one.target_B, other.target_B)
        assert torch.equal(one.tensors["numbers"], other.tensors["numbers"])
    assert torch.equal(torch.cat([piece.target_B for piece in streamed.pieces()]), INPUTS.train.target_N)


def test_batches_to_come_are_gathered_by_another_thread() -> None:
    gathered_by: list[int] = []

    class Watched(Streamed):
        def batch(self, rows_B: Tensor) -> Batch:
            gathered_by.append(threading.get_ident())
            return super().batch(rows_B)

    here = torch.device("cpu")
    rows = Watched(tensors=INPUTS.train.tensors, target_N=INPUTS.train.target_N, device=here)
    batches = rows.batches(rows.order(seed=1, size=64)[:6])
    next(batches)
    assert 2 <= len(gathered_by) <= 5, "some, but not all"
    assert len(list(batches)) == 5
    assert threading.get_ident() not in gathered_by
    assert len(gathered_by) == 6


def test_few_rows_of_large_inputs_are_judged_at_once() -> None:
    """A network's layers take some hundred times the memory of an image: of 4,000 together they took 4 GB."""
    image_N1HW = torch.zeros(700, 1, 64, 64, dtype=torch.uint8)
    images = Resident(tensors={"image": image_N1HW}, target_N=torch.arange(700.0))
    sizes = [len(piece.target_B) for piece in images.pieces()]
    assert max(sizes) * 64 * 64 <= PIECE_BYTES
    assert torch.equal(torch.cat([piece.target_B for piece in images.pieces()]), images.target_N)
    numbers = [len(piece.target_B) for piece in examples(20_000, 0).pieces()]
    assert numbers == [PIECE, PIECE, 20_000 - 2 * PIECE]
    large = Resident(tensors={"image": torch.zeros(2, PIECE_BYTES, dtype=torch.uint8)}, target_N=torch.zeros(2))
    assert [len(piece.target_B) for piece in large.pieces()] == [1, 1], "one at least"


CROWDED = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 14.56 GiB"


class Full(Resident):
    """Rows for which a device has no room, though it said so."""

    def to(self, device: torch.device) -> Resident:
        raise torch.OutOfMemoryError(CROWDED)


class Crowded(Recorder):
    """A device on which so many steps run out of memory."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def warm(self, compute: Compute, batch: Batch) -> Tensor:
        # Not at the first step: weights have changed, and the second try must not begin with them.
        if self.times and self.warmed == WARM - 1:
            self.times -= 1
            self.warmed = 0
            raise torch.OutOfMemoryError(f"{CROWDED}\nand more")
        return super().warm(compute, batch)


def test_rows_for_which_the_device_has_no_room_after_all_are_streamed(capsys: pytest.CaptureFixture[str]) -> None:
    full = Full(tensors=INPUTS.train.tensors, target_N=INPUTS.train.target_N)
    assert_equal(train(dataclasses.replace(INPUTS, train=full)), train(INPUTS))
    assert "are streamed to the device, which has no room for them" in capsys.readouterr().out


def test_a_step_out_of_memory_is_tried_without_rows_on_the_device(
    trained_with: Callable[[Recorder], Trained], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = train(INPUTS)
    assert_equal(trained_with(Crowded(1)), expected)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "out of memory: once more without rows on the device"
    assert len([line for line in told if "streamed to the device, which has room for 0.0" in line]) == 2


def test_a_batch_that_never_fits_is_named_with_the_memory(trained_with: Callable[[Recorder], Trained]) -> None:
    expected = f"batch_size 64: expected steps that fit into the device's memory, got {CROWDED}$"
    with pytest.raises(TrainingError, match=expected):
        trained_with(Crowded(2))


def test_a_compiled_step_out_of_memory_is_no_fault_of_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_to_compile(monkeypatch, torch.OutOfMemoryError(CROWDED))
    with pytest.raises(TrainingError, match="batch_size 64"):
        train(INPUTS)


@pytest.mark.parametrize(("together", "tries"), [(Processes(), 2), (Processes(size=2), 1)])
def test_several_processes_do_not_try_again(together: Processes, tries: int) -> None:
    """The others would be in the middle of a step."""
    tried: list[Any] = []

    class Heavy(InitialModel):
        def apply(self, network: Any, parameters: Any) -> None:
            tried.append(network)
            raise torch.OutOfMemoryError(CROWDED)

    initial = Heavy(weights=b"", description=None, is_frozen=False)
    with pytest.raises(TrainingError, match="batch_size 64"):
        train(dataclasses.replace(INPUTS, initial=initial), together=together)
    assert len(tried) == tries


THREE = Multiclass(classes=("a", "b", "c"))
RAW_NW = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(40) % 7 % 3  # 17, 12 and 11 of the classes


def losses(task: Task, target_N: Tensor, **parameters: object) -> Loss:
    declared = Feedforward(**parameters)
    return loss.declare(declared, build(declared, NUMBERS, task.objective), target_N)


def test_without_more_it_is_the_loss_of_the_predictor() -> None:
    for task, target_N in ((Binary(), (LABELS > 0).float()), (THREE, LABELS), (Regression(), RAW_NW[:, 1])):
        given, raw_NW = losses(task, target_N), RAW_NW[:, : task.objective.width]
        expected = given.predictor.loss(raw_NW, target_N)
        assert torch.equal(given.training(raw_NW, target_N), expected)
        assert torch.equal(given.validation(raw_NW, target_N), expected)


def test_classes_of_different_size_count_alike() -> None:
    given = losses(THREE, LABELS, class_balance=True)
    of_class = [functional.cross_entropy(RAW_NW[LABELS.eq(k)], LABELS[LABELS.eq(k)]) for k in range(3)]
    torch.testing.assert_close(given.training(RAW_NW, LABELS), torch.stack(of_class).mean())
    assert torch.equal(given.training(RAW_NW, LABELS), given.validation(RAW_NW, LABELS))


def test_a_class_that_does_not_occur_has_no_weight() -> None:
    given = losses(THREE, LABELS.clamp(max=1), class_balance=True)
    assert given.class_weights is not None
    assert given.class_weights[2] == 0
    assert float(given.class_weights[LABELS.clamp(max=1)].mean()) == pytest.approx(1)


def test_smoothed_labels_are_in_training_alone() -> None:
    smoothed_NW = 0.85 * functional.one_hot(LABELS, 3) + 0.05
    expected = -(smoothed_NW * functional.log_softmax(RAW_NW, 1)).sum(1).mean()
    given = losses(THREE, LABELS, label_smoothing=0.15)
    torch.testing.assert_close(given.training(RAW_NW, LABELS), expected)
    torch.testing.assert_close(given.validation(RAW_NW, LABELS), functional.cross_entropy(RAW_NW, LABELS))


def test_two_classes_are_smoothed_as_two_of_many_are() -> None:
    """The sigmoid of one number is the softmax over it and 0."""
    target_N = (LABELS > 0).float()
    raw_NW = torch.cat([torch.zeros(40, 1), RAW_NW[:, :1]], dim=1)
    expected = functional.cross_entropy(raw_NW, target_N.long(), label_smoothing=0.2)
    found = losses(Binary(), target_N, label_smoothing=0.2).training(RAW_NW[:, :1], target_N)
    torch.testing.assert_close(found, expected)


def test_each_of_several_labels_is_smoothed_as_the_only_one_is() -> None:
    target_NP = torch.stack([(k == LABELS).float() for k in range(2)], dim=1)
    of_label = [losses(Binary(), y, label_smoothing=0.2).training(RAW_NW[:, [k]], y) for k, y in enumerate(target_NP.T)]
    given = losses(Multilabel(labels=("a", "b"), thresholds=(0.5, 0.5)), target_NP, label_smoothing=0.2)
    torch.testing.assert_close(given.training(RAW_NW[:, :2], target_NP), torch.stack(of_label).mean())


def test_probabilities_are_judged_by_the_log_loss_whatever_trained_them() -> None:
    for task, target_N in ((Binary(), (LABELS > 0).float()), (THREE, LABELS)):
        other = replace(task.objective, loss="mse_loss")
        predictor, raw_NW = build(Feedforward(), NUMBERS, other), RAW_NW[:, : other.width]
        assert torch.equal(
            predictor.log_loss(raw_NW, target_N), losses(task, target_N).predictor.loss(raw_NW, target_N)
        )


@pytest.mark.parametrize("more", [{}, {"class_balance": True, "label_smoothing": 0.1}])
def test_each_head_has_its_own_loss(more: dict[str, object]) -> None:
    raw_NKW = torch.stack([RAW_NW, RAW_NW.flip(0), 2 * RAW_NW], dim=1)
    given = losses(THREE, LABELS, **more)
    of_head = [given.training(raw_NKW[:, k], LABELS) for k in range(3)]
    torch.testing.assert_close(given.training(raw_NKW, LABELS), torch.stack(of_head).mean())


@pytest.mark.parametrize(("field", "value"), [("label_smoothing", 0.1), ("class_balance", True)])
def test_what_is_for_classes_is_refused_for_other_tasks(field: str, value: object) -> None:
    for task in (Binary(), THREE):
        Feedforward(**{field: value}).suits(task, ())
    Feedforward().suits(Regression(), ())
    with pytest.raises(WorkloadError, match=rf"training\.parameters\.{field}: expected no such parameter for the task"):
        Feedforward(**{field: value}).suits(Regression(), ())
