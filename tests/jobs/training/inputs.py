"""What a small network is trained on, and whether two trainings ended alike."""

from __future__ import annotations

import torch

from millrace.features.signature import TensorSpec
from millrace.jobs.training.loader import Resident
from millrace.jobs.training.loop import Epoch, Trained, TrainingInputs
from millrace.models.feedforward.declaration import Feedforward
from millrace.tasks.binary import Binary

NUMBERS = (TensorSpec(name="numbers", dtype="float32", shape=(3,), optional=(False,) * 3),)
USUAL = Feedforward(hidden=(16,), epochs=6, batch_size=64, learning_rate=0.01, patience=3, dropout=0.2, seed=3)


def examples(rows: int, seed: int) -> Resident:
    """Class 1 where the first column is above the product of the others, and some noise."""
    x_NF = torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed))
    noise = 0.3 * torch.randn(rows, generator=torch.Generator().manual_seed(seed + 1))
    target_N = (x_NF[:, 0] > x_NF[:, 1] * x_NF[:, 2] + noise).float()
    return Resident(tensors={"numbers": x_NF}, target_N=target_N)


def training_inputs(
    train: Resident | None = None, validation: Resident | None = None, **parameters: object
) -> TrainingInputs:
    return TrainingInputs(
        parameters=USUAL.model_copy(update=parameters),
        signature=NUMBERS,
        task=Binary(),
        train=train or examples(650, 0),
        validation=validation or examples(300, 5),
        identity="inputs",
    )


def assert_equal(one: Trained, other: Trained) -> None:
    """Bit by bit, but for the clock."""
    mine, others = one.predictor.state_dict(), other.predictor.state_dict()
    assert mine.keys() == others.keys()
    assert all(torch.equal(mine[name], others[name]) for name in mine)
    assert [_figures(epoch) for epoch in one.history] == [_figures(epoch) for epoch in other.history]


def _figures(epoch: Epoch) -> tuple[float, ...]:
    return epoch.epoch, epoch.train_loss, epoch.validation_loss, epoch.validation_error
