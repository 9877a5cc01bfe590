"""The family cnn over the steps of a history: no look ahead, and no parameter of images."""

from __future__ import annotations

import pytest
import torch

from millrace.errors import WorkloadError
from millrace.features.signature import TensorSpec
from millrace.models.cnn.declaration import Cnn
from millrace.models.cnn.steps_trunk import StepsTrunk
from millrace.tasks.binary import Binary

STEPS = 24
PAST = TensorSpec(name="past", dtype="float32", shape=(STEPS, 2))


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
