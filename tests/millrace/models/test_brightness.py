"""Brightness and contrast of an image are inputs of their own, since its pixels are standardised."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from millrace.explanations.integrated_gradients import integrated_gradients
from millrace.features.signature import Signature, TensorSpec
from millrace.jobs.runtime import Stopped
from millrace.jobs.training.loader import Resident
from millrace.jobs.training.loop import Trained, TrainingInputs, train
from millrace.models.catalogue import FAMILIES
from millrace.models.cnn.brightness import Brightness
from millrace.tasks.binary import Binary

ROWS, SIDE = 400, 16
SCAN = TensorSpec(name="scan", dtype="uint8", shape=(1, SIDE, SIDE))
NUMBERS = TensorSpec(name="numbers", dtype="float32", shape=(1,), optional=(False,))
PARAMETERS = {"channels": (8, 16), "hidden": 16, "batch_size": 32, "learning_rate": 0.005, "epochs": 20, "ema": 0.9}


def scans(differs_in: str, seed: int) -> tuple[Tensor, Tensor]:
    """Noise whose classes differ in its mean alone, or in its deviation alone."""
    rng = np.random.default_rng(seed)
    label_N = rng.integers(0, 2, ROWS)
    noise = rng.normal(0, 1, (ROWS, 1, SIDE, SIDE))
    place_N = rng.normal(0, 4, ROWS) + (np.where(label_N, 140, 110) if differs_in == "brightness" else 125)
    width_N = np.where(label_N, 30, 20) if differs_in == "contrast" else np.full(ROWS, 25)
    pixels = place_N[:, None, None, None] + width_N[:, None, None, None] * noise
    return torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)), torch.from_numpy(label_N).float()


def rows(family: str, differs_in: str, seed: int) -> Resident:
    pixels, label_N = scans(differs_in, seed)
    noise = torch.randn(ROWS, 1, generator=torch.Generator().manual_seed(seed))
    tensors = {"scan": pixels} if family == "cnn" else {"scan": pixels, "numbers": noise}
    return Resident(tensors=tensors, target_N=label_N)


def signature(family: str) -> Signature:
    return (SCAN,) if family == "cnn" else (NUMBERS, SCAN)


def inputs(family: str, differs_in: str = "brightness", **parameters: object) -> TrainingInputs:
    return TrainingInputs(
        parameters=FAMILIES[family].model_validate(PARAMETERS | parameters),
        signature=signature(family),
        task=Binary(),
        train=rows(family, differs_in, 0),
        validation=rows(family, differs_in, 1),
        identity=family,
    )


def accuracy(trained: Trained, family: str, differs_in: str) -> float:
    test = rows(family, differs_in, 2)
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
    assert accuracy(trained, family, "brightness") > 0.95


@pytest.mark.night("a training of some seconds; by day classes that differ in brightness are learnt")
def test_classes_that_differ_in_contrast_alone_are_learnt(family: str) -> None:
    assert accuracy(train(inputs(family, "contrast")), family, "contrast") > 0.95


def test_without_them_such_classes_are_not_learnt(family: str) -> None:
    """The negative control."""
    assert accuracy(train(inputs(family, brightness=False)), family, "brightness") < 0.65


def test_goes_on_exactly_where_it_was_stopped(family: str, tmp_path: Path) -> None:
    calls = itertools.count()
    with pytest.raises(Stopped):
        train(inputs(family, epochs=4), checkpoints=tmp_path, stop=lambda: next(calls) >= 29)
    torch.manual_seed(999)  # another process has another random state
    both = (train(inputs(family, epochs=4), checkpoints=folder) for folder in (tmp_path, None))
    again, whole = (one.predictor.state_dict() for one in both)
    assert any("brightness" in name for name in whole)
    for name, value in whole.items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=0, msg=name)


def test_an_explanation_gives_the_answer_to_the_image(family: str, trained: Trained) -> None:
    """Its pixels say the class by their mean alone, which is of all of them alike."""
    here = {name: x[:8] for name, x in rows(family, "brightness", 3).tensors.items()}
    grey = {name: torch.full_like(x, 125 if name == "scan" else 0) for name, x in here.items()}
    found = integrated_gradients(trained.predictor, here, grey, np.zeros(8, np.int64), nodes=24)
    change_N = np.abs(found.output_N - found.base_N)
    assert found.completeness_error.max() < 0.03 * change_N.max()
    of_scan_N = found.entries["scan"].reshape(8, -1).sum(axis=1)
    bright_N = scans("brightness", 3)[1].numpy()[:8] > 0.5
    assert (of_scan_N[bright_N] > 0).all()
    assert (of_scan_N[~bright_N] < 0).all()


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
