"""Texts, images, histories and columns together: a row may lack any of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from millrace.features.signature import TensorSpec
from millrace.models.multimodal.declaration import Multimodal
from millrace.models.multimodal.network import MultimodalNetwork, some_left_out

ROWS, SIDE = 512, 8
WORDS = TensorSpec(name="note", dtype="int64", shape=(4,), cardinalities=(20,))
SCAN = TensorSpec(name="scan", dtype="uint8", shape=(1, SIDE, SIDE))
PAST = TensorSpec(name="past", dtype="float32", shape=(6, 1))
NUMBERS = TensorSpec(name="numbers", dtype="float32", shape=(1,), optional=(True,))
SIGNATURE = (WORDS, SCAN, PAST, NUMBERS)
NOTHING = {"note": 0, "scan": 0, "past": float("nan"), "numbers": float("nan")}


def rows(seed: int = 0) -> tuple[dict[str, Tensor], Tensor]:
    """Each input alone says the label, 0 or 1: its words, the brighter half of its scan, the rise of its past."""
    rng = np.random.default_rng(seed)
    label_N = rng.integers(0, 2, ROWS)
    pixels = rng.integers(60, 160, (ROWS, 1, SIDE, SIDE))
    pixels[label_N == 1, :, : SIDE // 2] += 60
    pixels[label_N == 0, :, SIDE // 2 :] += 60
    past = rng.normal(0, 0.3, (ROWS, 6, 1)) + np.where(label_N, 1, -1)[:, None, None] * np.arange(6)[None, :, None]
    return {
        "note": torch.from_numpy(rng.integers(1, 10, (ROWS, 4)) + 10 * label_N[:, None]),
        "scan": torch.from_numpy(pixels.astype(np.uint8)),
        "past": torch.from_numpy(past.astype(np.float32)),
        "numbers": torch.from_numpy((label_N[:, None] * 2 + rng.normal(0, 0.3, (ROWS, 1))).astype(np.float32)),
    }, torch.from_numpy(label_N).float()


def trained(*, steps: int = 40, **parameters: object) -> MultimodalNetwork:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tensors, label_N = rows()
    network = MultimodalNetwork(Multimodal(channels=(8,), dimension=8, hidden=8, **parameters), SIGNATURE, 1)
    network.fit(tensors, label_N)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for step in range(steps):
        of_B = slice(step * 64 % ROWS, step * 64 % ROWS + 64)
        raw_B1 = network(**{name: value[of_B] for name, value in tensors.items()})
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(raw_B1[:, 0], label_N[of_B]).backward()
        optimiser.step()
    return network.eval()


def accuracy(network: MultimodalNetwork, *missing: str) -> float:
    tensors, label_N = rows(1)
    tensors |= {name: torch.full_like(tensors[name], NOTHING[name]) for name in missing}
    with torch.no_grad():
        return float(((network(**tensors)[:, 0] > 0) == (label_N > 0.5)).float().mean())


@pytest.fixture(scope="module")
def network() -> MultimodalNetwork:
    return trained(left_out=0.3)


@pytest.mark.parametrize("kept", [spec.name for spec in SIGNATURE])
def test_any_input_alone_answers(network: MultimodalNetwork, kept: str) -> None:
    assert accuracy(network, *(spec.name for spec in SIGNATURE if spec.name != kept)) > 0.9


@pytest.mark.parametrize("missing", [spec.name for spec in SIGNATURE])
def test_any_input_may_be_missing(network: MultimodalNetwork, missing: str) -> None:
    assert accuracy(network, missing) > 0.95


def test_what_stands_for_a_missing_input_is_learnt_by_leaving_it_out() -> None:
    assert not trained(steps=2, left_out=0.0).missing_MD.any()
    assert (trained(steps=2, left_out=0.3).missing_MD != 0).all()


def test_no_row_loses_all_that_it_has() -> None:
    torch.manual_seed(0)
    known_NM = torch.tensor([[True, True, False]]).repeat(4000, 1)
    left_NM = some_left_out(known_NM, 0.5)
    assert left_NM[:, :2].any(1).all()
    assert not left_NM[:, 2].any()
    # Of four draws one leaves out both inputs, and that row keeps both: 1/4 + 1/4 + 1/4 of the rows have the first.
    assert float(left_NM[:, 0].float().mean()) == pytest.approx(0.75, abs=0.03)


def test_a_table_whose_cells_are_partly_known_is_known() -> None:
    torch.manual_seed(0)
    numbers = TensorSpec(name="numbers", dtype="float32", shape=(2,), optional=(True, True))
    network = MultimodalNetwork(Multimodal(channels=(8,), dimension=8, hidden=8), (WORDS, numbers), 1)
    tensors = {"note": torch.ones(64, 4, dtype=torch.int64), "numbers": torch.randn(64, 2)}
    network.fit(tensors, torch.zeros(64))
    network.eval()
    some, none = tensors["numbers"].clone(), torch.full((64, 2), float("nan"))
    some[:, 0] = float("nan")
    with torch.no_grad():
        seen = network(note=tensors["note"], numbers=some)
        assert (network(note=tensors["note"], numbers=none) == network(note=tensors["note"], numbers=none)[0]).all()
    assert seen.unique().numel() > 1
