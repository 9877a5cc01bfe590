from __future__ import annotations

import copy

import torch
from torch import nn

from jobs.training.adamw import AdamW


def test_updates_as_torchs_own_does() -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 1))
    theirs = copy.deepcopy(ours)
    our_optimiser = AdamW(ours.parameters(), learning_rate=3e-3, weight_decay=0.1)
    their_optimiser = torch.optim.AdamW(theirs.parameters(), lr=3e-3, weight_decay=0.1)
    for _ in range(50):
        x = torch.randn(16, 5)
        ours(x).square().mean().backward()
        our_optimiser.step()
        their_optimiser.zero_grad()
        theirs(x).square().mean().backward()
        their_optimiser.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


def test_goes_on_exactly_from_its_state() -> None:
    def steps(network: nn.Module, optimiser: AdamW, seeds: range) -> None:
        for seed in seeds:
            torch.manual_seed(seed)
            network(torch.randn(4, 3)).square().mean().backward()
            optimiser.step()

    torch.manual_seed(0)
    first = nn.Linear(3, 2)
    optimiser = AdamW(first.parameters(), learning_rate=1e-2, weight_decay=0.01)
    steps(first, optimiser, range(5))
    second = copy.deepcopy(first)
    resumed = AdamW(second.parameters(), learning_rate=1e-2, weight_decay=0.01)
    resumed.load({name: value.clone() for name, value in optimiser.state().items()})
    steps(first, optimiser, range(5, 9))
    steps(second, resumed, range(5, 9))
    assert torch.equal(first.weight, second.weight)
