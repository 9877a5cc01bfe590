"""Where a network turns tensors of its signature into the first floats: gradients for explanations are taken there.

N rows. Behind the entrances of a network all is differentiable; before them lie look-ups, comparisons and what stands
for a missing cell. The entrances of a network together carry all that its answer depends on, but for the mask of the
places of a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

Entry = tuple[str, int]
"""A tensor and a place along its first axis, or EVERYWHERE."""
EVERYWHERE = -1
"""All places of a tensor that differ from the reference's, alike: whether an input is there at all is of none alone."""


class Entrance(nn.Module):
    """The identity. An example: `Entrance("past", axes=2)` passes steps (N, T, F); `Entrance(owners=(("numbers", 0),
    ("categories", 0), ("categories", 0)))` passes (N, 3), one number and a category of two columns."""

    def __init__(self, tensor: str = "", *, axes: int = 0, owners: tuple[Entry, ...] = ()) -> None:
        """What passes is of `tensor`, whose `axes` come first behind the rows, or each place of the last axis is of one
        of the `owners`."""
        super().__init__()
        self.tensor, self.axes, self.owners = tensor, axes, owners
        self.is_watched = False
        """Whether gradients are taken: a network that has a quicker way past the entrance must not take it then."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def are_whole(network: nn.Module, tensors: Iterable[str]) -> bool:
    """Whether each of the tensors has an entrance: then gradients there explain all of an answer."""
    entrances = [module for module in network.modules() if isinstance(module, Entrance)]
    known = {one.tensor for one in entrances} | {name for one in entrances for name, _ in one.owners}
    return known.issuperset(tensors)


@contextmanager
def watched(network: nn.Module) -> Iterator[tuple[Entrance, ...]]:
    """The entrances of the network, which all that it reads passes while the block runs."""
    found = tuple(module for module in network.modules() if isinstance(module, Entrance))
    for entrance in found:
        entrance.is_watched = True
    try:
        yield found
    finally:
        for entrance in found:
            entrance.is_watched = False
