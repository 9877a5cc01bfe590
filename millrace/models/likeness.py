"""How far a row is from the training rows in the last layer of a network: Mahalanobis' distance (Lee et al. 2018, arXiv
1807.03888), of all rows together, since a number has no classes.

What a distance means is told by rows that no step has learnt from: `likeness` of a row is the share of those held-out
rows that are at least as far out, a conformal p-value (Bates et al. 2023, arXiv 2104.08279). Rows like the training
rows have a likeness below 1 % in 1 % of the cases.

Rows of another source may be no farther out than others, and still lie elsewhere. So the first coordinates of what
enters the last layer are measured too, along the directions in which the training rows differ most.

Axes: N rows, D numbers that enter the last layer, M: as many and zeros up to a multiple of ALIGNED, S coordinates, K
heads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce

import numpy as np
import torch
from torch import Tensor, nn

MOST_FITTED = 20_000
"""The most training rows that the distance is fitted on."""
MOST_HELD = 1_000
"""So many held-out distances are kept, evenly spread over their order. A likeness has three digits."""
COORDINATES = 8
"""The most coordinates that are measured of a row."""
ALIGNED = 16
"""Floats of a cache line. The engine adds the numbers of a row in an order that depends on where in one it begins."""


class Likeness(nn.Module):
    """The distance of what enters the last layer (N, D) from its mean over the training rows, and its coordinates
    (N, 1 + S)."""

    mean_D: Tensor
    whiten_DM: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        width = _width(last_layer(network))
        self.register_buffer("mean_D", torch.zeros(width))
        # Columns of zeros fill each row up to whole cache lines: its distance has the same bits in any company.
        self.register_buffer("whiten_DM", torch.eye(width, -(-width // ALIGNED) * ALIGNED))

    def fit(self, states_ND: Tensor) -> None:
        """Take mean and covariance from the training rows' states, shrunk by Ledoit and Wolf's rule."""
        from sklearn.covariance import ledoit_wolf

        states = states_ND.double().numpy()
        covariance, _ = ledoit_wolf(states)
        values, vectors = np.linalg.eigh(covariance)
        # A unit that is always off has no variance: no row may be infinitely far by its rounding errors.
        scale = np.sqrt(np.maximum(values, max(float(values.max()), 1e-12) * 1e-6))
        self.mean_D.copy_(torch.from_numpy(states.mean(axis=0)))
        # The directions come in the order of their variance: the largest goes first.
        self.whiten_DM[:, : len(scale)] = torch.from_numpy((vectors / scale)[:, ::-1].copy())

    def forward(self, state_ND: Tensor) -> Tensor:
        whitened_NM = (state_ND - self.mean_D) @ self.whiten_DM
        coordinates_NS = whitened_NM[:, : min(COORDINATES, len(self.mean_D))]
        return torch.cat([whitened_NM.square().sum(1, keepdim=True).sqrt(), coordinates_NS], dim=1)


def last_layer(network: nn.Module) -> nn.Module:
    """The layer that makes the network's raw numbers: its `head`, or its `linear` layer if it has no other."""
    found = getattr(network, "head", None) or getattr(network, "linear", None)
    assert isinstance(found, nn.Module), f"{type(network).__name__} has neither head nor linear"
    return found


@contextmanager
def entering(layer: nn.Module) -> Iterator[list[Tensor]]:
    """A list that gets what enters the layer (N, D) at each pass; the mean over the heads of several."""
    seen: list[Tensor] = []

    def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        # Head by head: the engine takes another order for the mean of a row alone than for that of many.
        heads = given[0].unbind(1) if given[0].dim() == 3 else given
        seen.append(reduce(torch.add, heads) / len(heads))

    hook = layer.register_forward_pre_hook(note)
    try:
        yield seen
    finally:
        hook.remove()


def states(network: nn.Module, pieces: Iterable[Mapping[str, Tensor]]) -> Tensor:
    """What enters the last layer (N, D) for the rows of the pieces."""
    found: list[Tensor] = []
    with torch.no_grad(), entering(last_layer(network)) as seen:
        for piece in pieces:
            network(**piece)
            found.append(seen.pop())
    return torch.cat(found)


def kept(distances: Sequence[float]) -> tuple[float, ...]:
    """The held-out distances in order, at most MOST_HELD of them."""
    ordered = sorted(distances)
    if len(ordered) <= MOST_HELD:
        return tuple(ordered)
    # Places whose ranks are evenly spread, the greatest included: so the tail is neither lost nor doubled.
    places = (np.arange(1, MOST_HELD + 1) * len(ordered) / MOST_HELD).astype(int) - 1
    return tuple(ordered[place] for place in places.tolist())


def _width(layer: nn.Module) -> int:
    if isinstance(layer, nn.Linear):
        return layer.in_features
    weight = layer.weight_KIO
    assert isinstance(weight, Tensor)
    return int(weight.shape[1])
