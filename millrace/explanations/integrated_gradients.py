"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv 1703.01365) of a network of any family.

They are taken at the network's entrances, where tensors have become floats. The way from the reference to a row is a
straight line between what passes the entrances for both. So a category, a word and a missing cell have gradients too.

Axes: N rows, W numbers of an answer, P parts of an answer, L levels of a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from millrace.explanations.attribution import is_share
from millrace.models.entrance import EVERYWHERE, Entrance, watched

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.models.predictor import Predictor

DOUBLINGS = 3
"""How often at most the nodes are doubled for rows whose sum is not near enough. A network that is sure of itself has
steep places."""
NEAR = 0.02
"""A sum is near enough if its error is at most this share of the largest change of score among the rows of the call."""
ROWS_AT_ONCE = 64
"""Rows of one pass with gradients. With more images, what the layers keep would be gigabytes."""


@dataclass(frozen=True, kw_only=True)
class EntryAttributions:
    """What each entry of a row's tensors added to the score of the row's answer."""

    entries: Mapping[str, npt.NDArray[np.float64]]
    """By the name of the tensor (N, *spec.shape)."""
    base_N: npt.NDArray[np.float64]
    output_N: npt.NDArray[np.float64]

    @property
    def completeness_error(self) -> npt.NDArray[np.float64]:
        """How far the sum of a row's entries is from `output_N` minus `base_N` (N)."""
        sums = [value.reshape(len(value), -1).sum(axis=1) for value in self.entries.values()]
        return np.asarray(np.abs(np.sum(sums, axis=0) - (self.output_N - self.base_N)))


def integrated_gradients(
    predictor: Predictor,
    tensors: Mapping[str, Tensor],
    reference: Mapping[str, Tensor],
    at_N: npt.NDArray[np.int64],
    *,
    nodes: int,
) -> EntryAttributions:
    """The attributions of the score of each row's answer: log odds of a probability, any other number as it is.

    `at_N` says which number of each row's answer is explained. `tensors` and the `reference` of each row (N, …) are on
    the CPU, and the predictor is in evaluation mode. Rows whose sum is not near enough are done again with twice the
    nodes, up to DOUBLINGS times."""
    todo, found = np.arange(len(at_N)), _empty(tensors)
    for doubling in range(DOUBLINGS + 1):
        for chosen in np.split(todo, range(ROWS_AT_ONCE, len(todo), ROWS_AT_ONCE)):
            part, base = ({name: x[chosen] for name, x in rows.items()} for rows in (tensors, reference))
            at = torch.from_numpy(at_N[chosen])
            one = _attributed(predictor, part, base, at, nodes * 2**doubling)
            for name, value in one.entries.items():
                found.entries[name][chosen] = value
            found.base_N[chosen], found.output_N[chosen] = one.base_N, one.output_N
        error_N, change_N = found.completeness_error, np.abs(found.output_N - found.base_N)
        todo = np.flatnonzero(error_N > NEAR * change_N.max(initial=0))
        if not len(todo):
            break
    return found


def _empty(tensors: Mapping[str, Tensor]) -> EntryAttributions:
    entries = {name: np.zeros(x.shape) for name, x in tensors.items()}
    rows = len(next(iter(tensors.values())))
    return EntryAttributions(entries=entries, base_N=np.zeros(rows), output_N=np.zeros(rows))


def output_scores(predictor: Predictor, tensors: Mapping[str, Tensor], at_N: Tensor) -> Tensor:
    """The same score (N) as `attribution.score`, but from the network's raw numbers, and with gradients.

    A probability near 1 has no gradient left; its raw number has one."""
    objective = predictor.objective
    raw_NW: Tensor = predictor.network(**tensors)
    if not is_share(objective):
        sorted_NPL = predictor.answer(raw_NW).reshape(len(raw_NW), -1, objective.levels).sort(2).values
        found: Tensor = sorted_NPL.reshape(raw_NW.shape).gather(1, at_N[:, None])[:, 0]
        return found
    raw_NW = raw_NW / predictor.temperature if objective.is_calibrated else raw_NW
    raw_N = raw_NW.gather(1, at_N[:, None])[:, 0]
    if objective.activation == "sigmoid":
        return raw_N
    # The log odds of a softmax: the raw number less the log of the sum of the others' exponentials.
    others_NW = raw_NW.scatter(1, at_N[:, None], -torch.inf)
    return raw_N - others_NW.logsumexp(1)


def _attributed(
    predictor: Predictor,
    tensors: Mapping[str, Tensor],
    reference: Mapping[str, Tensor],
    at_N: Tensor,
    nodes: int,
) -> EntryAttributions:
    """The attributions of some rows, by an integral with so many nodes."""

    def answer() -> Tensor:
        return output_scores(predictor, tensors, at_N)

    with watched(predictor) as entrances:
        # What passes the entrances for the rows, and for their references: the ends of the way.
        with torch.no_grad(), _read(entrances) as there:
            output_N = answer()
        with torch.no_grad(), _read(entrances) as start:
            base_N = output_scores(predictor, reference, at_N)
        passed = [entrance for entrance in entrances if entrance in there]
        way = {entrance: there[entrance] - start[entrance] for entrance in passed}
        total = {entrance: torch.zeros_like(way[entrance], dtype=torch.float64) for entrance in passed}
        # The mean gradient along the way, by Gauss-Legendre quadrature: for a smooth function two dozen nodes are as
        # good as hundreds of equal steps. Its nodes lie in [-1, 1] and are moved to [0, 1].
        places, weights = np.polynomial.legendre.leggauss(nodes)
        for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
            points = {one: (start[one] + float(place) * way[one]).requires_grad_() for one in passed}
            with _replaced(points):
                sloped = answer().sum()
            gradients = torch.autograd.grad(sloped, list(points.values()), allow_unused=True)
            for one, gradient in zip(passed, gradients, strict=True):
                if gradient is not None:
                    total[one] += weight * gradient
    entries = _empty(tensors).entries
    changed = {name: _changed(tensors[name], reference[name]) for name in tensors}
    # Mean gradient times way is what passed each entrance, attributed. It is brought back to the tensors' entries.
    for one in passed:
        for name, value in _folded(one, total[one] * way[one], changed).items():
            entries[name][...] += value
    return EntryAttributions(entries=entries, base_N=_exact(base_N), output_N=_exact(output_N))


@contextmanager
def _read(entrances: Sequence[Entrance]) -> Iterator[dict[Entrance, Tensor]]:
    """What passes each entrance while the block runs. Entrances that the network does not use are left out."""
    found: dict[Entrance, Tensor] = {}

    def note(entrance: Any, _: Any, x: Tensor) -> None:
        found[entrance] = x

    with ExitStack() as stack:
        for entrance in entrances:
            stack.callback(entrance.register_forward_hook(note).remove)
        yield found


@contextmanager
def _replaced(points: Mapping[Entrance, Tensor]) -> Iterator[None]:
    """While the block runs, each entrance gives its point, whatever comes in."""

    def give(entrance: Any, _: Any, __: Any) -> Tensor:
        return points[entrance]

    with ExitStack() as stack:
        for entrance in points:
            stack.callback(entrance.register_forward_hook(give).remove)
        yield


def _folded(
    entrance: Entrance, attributed: Tensor, changed: Mapping[str, npt.NDArray[np.float64]]
) -> dict[str, npt.NDArray[np.float64]]:
    """The attributions at an entrance, by tensor, summed for each entry of the tensor that they belong to.

    What belongs to a tensor as a whole is spread over its entries by the shares of `changed`."""
    values = _exact(attributed)
    # An entrance of one tensor has its axes first: what lies behind them, such as a vector, is summed.
    if entrance.tensor:
        return {entrance.tensor: values.sum(axis=tuple(range(1 + entrance.axes, values.ndim)))}
    found = {name: np.zeros_like(changed[name]) for name in {name for name, _ in entrance.owners}}
    for place, (name, entry) in enumerate(entrance.owners):
        if entry == EVERYWHERE:
            found[name] += changed[name] * values[:, place].reshape(-1, *[1] * (changed[name].ndim - 1))
        else:
            found[name][:, entry] += values[:, place]
    return found


def _changed(tensor: Tensor, reference: Tensor) -> npt.NDArray[np.float64]:
    """The shares (N, *shape) of the entries of a row that differ from the reference: equal among them, 0 for others."""
    differs = (tensor != reference) & ~(tensor.isnan() & reference.isnan())
    count_N = differs.flatten(1).sum(1).clamp(min=1).view(-1, *[1] * (tensor.ndim - 1))
    return _exact(differs / count_N)


def _exact(x: Tensor) -> npt.NDArray[np.float64]:
    return x.detach().double().numpy()
