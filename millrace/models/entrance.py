"""Entrances mark where a network turns its input tensors into floats: explanations take their gradients there.

Behind the entrances everything is differentiable. Before them are look-ups, comparisons, and replacements of missing
cells. All entrances of a network together carry everything that its answer depends on, except for the mask that says
where a text ends. Axes: N rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

Entry = tuple[str, int]
"""The name of a tensor and a place along its first axis, or EVERYWHERE."""
EVERYWHERE = -1
"""Stands for all places of a tensor that differ from the reference, in equal parts.

For example, whether an input is there at all belongs to no single place."""


class Entrance(nn.Module):
    """The identity, as a module with a hook for explanations.

    `Entrance("past", axes=2)` passes the steps of a history (N, T, F). `Entrance(owners=(("numbers", 0),
    ("categories", 0), ("categories", 0)))` passes (N, 3): one number, and one category that has two columns."""

    def __init__(self, tensor: str = "", *, axes: int = 0, owners: tuple[Entry, ...] = ()) -> None:
        """Say where the values that pass come from: either from one `tensor`, or from `owners`.

        With `tensor`, the first `axes` axes behind the rows are those of the tensor; further axes belong to the same
        entry. With `owners`, each place of the last axis belongs to the entry of its owner."""
        super().__init__()
        self.tensor, self.axes, self.owners = tensor, axes, owners
        self.is_watched = False
        """Whether gradients are being taken. A network with a faster way around the entrance must not use it then."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def are_whole(network: nn.Module, tensors: Iterable[str]) -> bool:
    """Whether each of the tensors has an entrance. Gradients at the entrances then explain the whole answer."""
    entrances = [module for module in network.modules() if isinstance(module, Entrance)]
    known = {one.tensor for one in entrances} | {name for one in entrances for name, _ in one.owners}
    return known.issuperset(tensors)


@contextmanager
def watched(network: nn.Module) -> Iterator[tuple[Entrance, ...]]:
    """The entrances of the network. While the block runs, everything that the network reads passes them."""
    found = tuple(module for module in network.modules() if isinstance(module, Entrance))
    for entrance in found:
        entrance.is_watched = True
    try:
        yield found
    finally:
        for entrance in found:
            entrance.is_watched = False
