"""Brightness and contrast of an image are inputs of their own, since its pixels are standardised."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from millrace.features.signature import Signature, TensorSpec
from millrace.jobs.training.loader import Resident
from millrace.jobs.training.loop import Trained, TrainingInputs, train
from millrace.models.catalogue import FAMILIES
from millrace.models.cnn.brightness import Brightness
from millrace.tasks.binary import Binary

ROWS, SIDE = 400, 16
SCAN = TensorSpec(name="scan", dtype="uint8", shape=(1, SIDE, SIDE))
NUMBERS = TensorSpec(name="numbers", dtype="float32", shape=(1,), optional=(False,))
PARAMETERS = {"channels": (8, 16), "hidden": 16, "batch_size": 32, "learning_rate": 0.005, "epochs": 20, "ema": 0.9}


def scans(seed: int) -> tuple[Tensor, Tensor]:
    """Noise whose classes differ in its mean alone."""
    rng = np.random.default_rng(seed)
    label_N = rng.integers(0, 2, ROWS)
    place_N = rng.normal(0, 4, ROWS) + np.where(label_N, 140, 110)
    pixels = place_N[:, None, None, None] + 25 * rng.normal(0, 1, (ROWS, 1, SIDE, SIDE))
    return torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)), torch.from_numpy(label_N).float()


def rows(family: str, seed: int) -> Resident:
    pixels, label_N = scans(seed)
    noise = torch.randn(ROWS, 1, generator=torch.Generator().manual_seed(seed))
    tensors = {"scan": pixels} if family == "cnn" else {"scan": pixels, "numbers": noise}
    return Resident(tensors=tensors, target_N=label_N)


def signature(family: str) -> Signature:
    return (SCAN,) if family == "cnn" else (NUMBERS, SCAN)


def inputs(family: str, **parameters: object) -> TrainingInputs:
    return TrainingInputs(
        parameters=FAMILIES[family].model_validate(PARAMETERS | parameters),
        signature=signature(family),
        task=Binary(),
        train=rows(family, 0),
        validation=rows(family, 1),
        identity=family,
    )


def accuracy(trained: Trained, family: str) -> float:
    test = rows(family, 2)
    with torch.no_grad():
        p_N1 = trained.predictor(**test.tensors)
    return float(((p_N1[:, 0] > 0.5) == (test.target_N > 0.5)).float().mean())


@pytest.fixture(
    scope="module",
    params=[
        "cnn",
        pytest.param(
            "multimodal",
            marks=pytest.mark.night("by day the cnn; the multimodal family reads images by the same layers"),
        ),
    ],
)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def trained(family: str) -> Trained:
    return train(inputs(family))


def test_classes_that_differ_in_brightness_alone_are_learnt(family: str, trained: Trained) -> None:
    assert accuracy(trained, family) > 0.95


def test_without_them_such_classes_are_not_learnt(family: str) -> None:
    """The negative control."""
    assert accuracy(train(inputs(family, brightness=False)), family) < 0.65


def fitted(pixels: Tensor) -> Brightness:
    found = Brightness(TensorSpec(name="scan", dtype="uint8", shape=tuple(pixels.shape[1:])))
    found.fit(pixels)
    return found


def colours(count: int = 50) -> Tensor:
    rng = np.random.default_rng(5)
    return torch.from_numpy(rng.integers(1, rng.integers(40, 255, (count, 3, 1, 1)), (count, 3, 6, 9)).astype(np.uint8))


def test_each_channel_has_mean_and_deviation_in_those_of_the_training() -> None:
    flat = colours().numpy().reshape(50, 3, -1).astype(np.float64)
    moments = np.concatenate([flat.mean(axis=2), flat.std(axis=2)], axis=1)
    expected = (moments - moments.mean(axis=0)) / moments.std(axis=0)
    np.testing.assert_allclose(fitted(colours())(colours()).numpy(), expected, rtol=0, atol=1e-4)


def test_an_image_beyond_all_of_the_training_counts_as_the_last_of_them() -> None:
    bright = fitted(colours())
    seen = bright(colours())
    white, black = torch.full((1, 3, 6, 9), 255, dtype=torch.uint8), torch.zeros(1, 3, 6, 9, dtype=torch.uint8)
    torch.testing.assert_close(bright(white)[0, :3], seen.amax(0)[:3], rtol=0, atol=0)
    torch.testing.assert_close(bright(black)[0], seen.amin(0), rtol=0, atol=0)
