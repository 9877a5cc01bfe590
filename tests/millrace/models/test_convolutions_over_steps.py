"""The family cnn over the steps of a history: a pattern at any place, no look ahead, the same bits alone and beside."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from millrace.errors import WorkloadError
from millrace.features.signature import TensorSpec
from millrace.models.cnn.declaration import Cnn
from millrace.models.cnn.network import build
from millrace.models.cnn.steps_trunk import StepsTrunk
from millrace.models.predictor import Predictor
from millrace.tasks.binary import Binary

ROWS, STEPS = 512, 24
PAST = TensorSpec(name="past", dtype="float32", shape=(STEPS, 2))
WAVE = np.array([2.0, -2.0, 2.0])


def rows(seed: int = 0) -> tuple[dict[str, Tensor], Tensor]:
    """Noise; in half of the rows three steps of the first column, anywhere, are a wave: no mean tells them."""
    rng = np.random.default_rng(seed)
    label_N = rng.integers(0, 2, ROWS)
    past = rng.normal(0, 0.7, (ROWS, STEPS, 2)).astype(np.float32)
    for row in np.flatnonzero(label_N):
        at = rng.integers(0, STEPS - 3)
        past[row, at : at + 3, 0] = WAVE
    return {"past": torch.from_numpy(past)}, torch.from_numpy(label_N).float()


def predictor() -> Predictor:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    found = Predictor(build(Cnn(channels=(8, 8), hidden=16, dropout=0.0), (PAST,), 1), Binary().objective)
    tensors, label_N = rows()
    found.fit(tensors, label_N)
    optimiser = torch.optim.AdamW(found.parameters(), lr=1e-2)
    for step in range(60):
        of_B = slice(step * 128 % ROWS, step * 128 % ROWS + 128)
        loss = found.loss(found.network(past=tensors["past"][of_B]), label_N[of_B])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return found.eval()


@pytest.fixture(scope="module")
def trained() -> Predictor:
    return predictor()


def test_no_step_sees_a_later_one() -> None:
    torch.manual_seed(0)
    trunk = StepsTrunk(PAST, (4, 4, 4), 0.0).eval()
    x = torch.randn(2, 4, STEPS)
    later = x.clone()
    later[:, :, 15:] += 1
    with torch.no_grad():
        before, after = trunk.blocks(x), trunk.blocks(later)
    torch.testing.assert_close(after[:, :, :15], before[:, :, :15], rtol=0, atol=0)
    assert (after[:, :, 15] != before[:, :, 15]).any()


def test_what_changes_images_is_refused_for_a_history() -> None:
    Cnn(channels=(8,), hidden=4).accepts((PAST,), Binary())
    with pytest.raises(WorkloadError, match=r"training\.parameters\.rotation: expected no such parameter"):
        Cnn(rotation=5.0).accepts((PAST,), Binary())
