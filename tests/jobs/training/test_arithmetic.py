"""What a step multiplies, by its operations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from millrace.features.signature import TensorSpec
from millrace.jobs.training.arithmetic import SMALL_STEP, multiplications
from millrace.models.bag.declaration import Bag
from millrace.models.bag.network import BagNetwork


class Over(nn.Module):
    """A network of one layer over the tensor `x`."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def test_a_dense_layer_uses_each_weight_once_per_row() -> None:
    assert multiplications(Over(nn.Linear(30, 7, bias=False)), {"x": torch.zeros(16, 30)}) == 16 * 30 * 7


def test_a_recurrent_layer_uses_its_weights_at_every_step() -> None:
    layer = nn.GRU(5, 6, batch_first=True)
    assert multiplications(Over(layer), {"x": torch.zeros(4, 9, 5)}) == 4 * 9 * 3 * 6 * (5 + 6)


def test_a_table_of_vectors_is_looked_up() -> None:
    """A bag of 65,536 vectors: by its weights it would be a large step, by what it multiplies it is none."""
    spec = TensorSpec(name="note", dtype="int64", shape=(100,), cardinalities=(2**16,))
    network, rows = BagNetwork(Bag(dimension=32), (spec,), 1), 128
    assert rows * sum(one.numel() for one in network.parameters()) > SMALL_STEP
    assert multiplications(network, {"note": torch.zeros(rows, 100, dtype=torch.int64)}) == rows * 32


def test_counting_draws_no_random_number_and_changes_no_weight() -> None:
    network = Over(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)))
    before, state = torch.get_rng_state(), {name: value.clone() for name, value in network.state_dict().items()}
    assert multiplications(network.train(), {"x": torch.ones(8, 4)}) == 8 * 16
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
