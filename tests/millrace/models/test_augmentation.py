"""Images are turned, scaled and moved while a network trains, and never when it answers."""

from __future__ import annotations

import math

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from millrace.features.signature import Signature, TensorSpec
from millrace.jobs.training.loader import Resident
from millrace.jobs.training.loop import Trained, TrainingInputs, train
from millrace.models.catalogue import FAMILIES
from millrace.models.cnn.augmentation import augmented, shifted, warped
from millrace.models.cnn.brightness import Brightness
from millrace.models.cnn.declaration import Cnn
from millrace.models.cnn.network import ImageNetwork, build
from millrace.models.export import export
from millrace.models.predictor import build as predictor_of
from millrace.tasks.binary import Binary

SPEC = TensorSpec(name="scan", dtype="uint8", shape=(1, 16, 16))
ROWS = 8


def images(height: int = 16, width: int = 16) -> Tensor:
    return torch.rand(ROWS, 1, height, width, generator=torch.Generator().manual_seed(0))


def at(x: Tensor, *, angle: float = 0.0, size: float = 1.0, right: float = 0.0, down: float = 0.0) -> Tensor:
    angle_N, size_N, right_N, down_N = (torch.full((len(x),), value) for value in (angle, size, right, down))
    return warped(x, angle_N=angle_N, size_N=size_N, right_N=right_N, down_N=down_N)


def network(**parameters: object) -> ImageNetwork:
    torch.manual_seed(1)
    return build(Cnn.model_validate({"dropout": 0.0} | parameters), (SPEC,), 1)


def pixels() -> Tensor:
    return (255 * images()).to(torch.uint8)


def test_a_turn_keeps_lengths_where_the_image_is_no_square() -> None:
    """A bar of 5 pixels across becomes one of 5 pixels down."""
    x = torch.zeros(1, 1, 9, 21)
    x[..., 4, 8:13] = 1
    down = torch.zeros(1, 1, 9, 21)
    down[..., 2:7, 10] = 1
    torch.testing.assert_close(at(x, angle=math.pi / 2), down, rtol=0, atol=1e-5)


def test_a_move_by_whole_pixels_repeats_the_edge() -> None:
    x = images(8, 20)
    moved = at(x, right=3, down=-2)
    torch.testing.assert_close(moved[:, :, :-2, 3:], x[:, :, 2:, :-3], rtol=0, atol=1e-5)
    torch.testing.assert_close(moved[:, :, -2:, 3:], x[:, :, -1:, :-3].expand(-1, -1, 2, -1), rtol=0, atol=1e-5)


def test_each_image_has_draws_of_its_own_within_the_bounds() -> None:
    torch.manual_seed(0)
    one = images()[:1].expand(64, -1, -1, -1)
    found = augmented(one, rotation=10, scale=0.1, shift=2)
    assert len({tuple(image.flatten().tolist()) for image in found}) == 64
    mass = torch.zeros(64, 1, 33, 33)
    mass[..., 16, 16] = 1
    moved = augmented(mass, rotation=0, scale=0, shift=3)
    places = moved.flatten(1).argmax(1)
    across, down = places % 33 - 16, places // 33 - 16
    assert (int(across.min()), int(across.max()), int(down.min()), int(down.max())) == (-3, 3, -3, 3)


@pytest.mark.parametrize("kind", ["rotation", "scale", "shift"])
def test_a_network_changes_images_in_training_by_the_seed_and_never_in_its_answers(kind: str) -> None:
    bounds = {"rotation": 0, "scale": 0, "shift": 0, kind: {"rotation": 20, "scale": 0.3, "shift": 3}[kind]}

    def answers(seed: int, *, is_training: bool) -> Tensor:
        torch.manual_seed(seed)
        given = network(**bounds).train(is_training)
        torch.manual_seed(seed)
        with torch.no_grad():
            found: Tensor = given(scan=pixels())
            return found

    assert torch.equal(answers(3, is_training=True), answers(3, is_training=True))
    assert not torch.equal(answers(3, is_training=True), answers(4, is_training=True))
    assert torch.equal(answers(3, is_training=False), answers(4, is_training=False))


def test_the_copies_are_the_image_and_its_neighbours() -> None:
    x = images()
    same, down, up, right, left = shifted(x, 2)
    assert torch.equal(same, x)
    assert torch.equal(down[:, :, 2:], x[:, :, :-2])
    assert torch.equal(up[:, :, :-2], x[:, :, 2:])
    assert torch.equal(right[..., 2:], x[..., :-2])
    assert torch.equal(left[..., :-2], x[..., 2:])


def test_an_answer_is_the_mean_of_those_of_the_copies() -> None:
    """An image that is even near its edges: its moved copies hold the same pixels, so standardise alike."""
    x = torch.zeros(ROWS, 1, 16, 16, dtype=torch.uint8)
    x[:, :, 4:12, 4:12] = pixels()[:, :, 4:12, 4:12]
    plain, averaged = network().eval(), network(answer_shift=1).eval()
    with torch.no_grad():
        each = [plain(scan=torch.roll(x, by, (2, 3))) for by in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))]
        assert not torch.allclose(each[0], each[1], rtol=0, atol=1e-6)
        torch.testing.assert_close(averaged(scan=x), torch.stack(each).mean(0), rtol=0, atol=1e-6)


@pytest.mark.night("by day an answer is the mean of the copies, outside a graph")
def test_the_mean_of_the_copies_is_in_the_graph_and_the_same_bits_in_any_company() -> None:
    """Sides of 28 pixels end in blocks of 7 × 7: no image begins at a multiple of a register's width."""
    spec = TensorSpec(name="scan", dtype="uint8", shape=(1, 28, 28))
    torch.manual_seed(2)
    predictor = predictor_of(Cnn(answer_shift=1), (spec,), Binary().objective)
    for module in predictor.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    session = onnxruntime.InferenceSession(export(predictor.eval(), (spec,)), providers=["CPUExecutionProvider"])
    scans = np.random.default_rng(0).integers(0, 256, (70, 1, 28, 28)).astype(np.uint8)

    def answered(size: int, first: int = 0) -> np.ndarray:
        return np.concatenate(
            [session.run(["output"], {"scan": scans[at : at + size]})[0] for at in range(first, len(scans), size)]
        )

    alone = answered(1)
    with torch.no_grad():
        np.testing.assert_allclose(alone, predictor(scan=torch.from_numpy(scans)).numpy(), rtol=0, atol=1e-5)
    for size, first in ((2, 0), (7, 3), (16, 5), (64, 1), (70, 0)):
        np.testing.assert_array_equal(answered(size, first), alone[first:], err_msg=f"{size} rows at a time")


ROWS_BRIGHTNESS, SIDE = 400, 16
SCAN = TensorSpec(name="scan", dtype="uint8", shape=(1, SIDE, SIDE))
NUMBERS = TensorSpec(name="numbers", dtype="float32", shape=(1,), optional=(False,))
PARAMETERS = {"channels": (8, 16), "hidden": 16, "batch_size": 32, "learning_rate": 0.005, "epochs": 20, "ema": 0.9}


def scans(seed: int) -> tuple[Tensor, Tensor]:
    """Noise whose classes differ in its mean alone."""
    rng = np.random.default_rng(seed)
    label_N = rng.integers(0, 2, ROWS_BRIGHTNESS)
    place_N = rng.normal(0, 4, ROWS_BRIGHTNESS) + np.where(label_N, 140, 110)
    pixels = place_N[:, None, None, None] + 25 * rng.normal(0, 1, (ROWS_BRIGHTNESS, 1, SIDE, SIDE))
    return torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)), torch.from_numpy(label_N).float()


def rows(family: str, seed: int) -> Resident:
    pixels, label_N = scans(seed)
    noise = torch.randn(ROWS_BRIGHTNESS, 1, generator=torch.Generator().manual_seed(seed))
    tensors = {"scan": pixels} if family == "cnn" else {"scan": pixels, "numbers": noise}
    return Resident(tensors=tensors, target_N=label_N)


def signature(family: str) -> Signature:
    return (SCAN,) if family == "cnn" else (NUMBERS, SCAN)


def inputs(family: str) -> TrainingInputs:
    return TrainingInputs(
        parameters=FAMILIES[family].model_validate(PARAMETERS),
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
