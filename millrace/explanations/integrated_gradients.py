"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv 1703.01365) of any family, at its entrances.

The way from the reference to a row is a straight line in what passes the entrances, so that a category, a word and a
missing cell have gradients too. N rows, K nodes of the integral, W numbers of an answer.
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
"""Of the nodes, for rows whose sum is not yet near enough: a network that is sure of itself has steep places."""
NEAR = 0.02
"""Near enough: of the largest change that a row of the same call shows."""
ROWS_AT_ONCE = 64
"""Of one pass with gradients: what the layers keep of more images would be gigabytes."""


@dataclass(frozen=True, kw_only=True)
class EntryAttributions:
    """What the entries of each row's tensors added to the score of its answer."""

    entries: Mapping[str, npt.NDArray[np.float64]]
    """By tensor (N, *spec.shape)."""
    base_N: npt.NDArray[np.float64]
    """The reference's score."""
    output_N: npt.NDArray[np.float64]

    @property
    def completeness_error(self) -> npt.NDArray[np.float64]:
        """How far the sum of a row's entries is from output less base (N)."""
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
    """Of the score of number `at_N` of each row's answer: log odds of a probability, else the number.

    `tensors` and the `reference` of each row (N, ...) are on the CPU, the predictor is in evaluation mode.
    Rows whose sum is not yet near enough have twice the nodes, and so on."""
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
    """As `attribution.score`, from the raw numbers: a probability near 1 has no gradient left."""
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
    others_NW = raw_NW.scatter(1, at_N[:, None], -torch.inf)
    return raw_N - others_NW.logsumexp(1)


def _attributed(
    predictor: Predictor,
    tensors: Mapping[str, Tensor],
    reference: Mapping[str, Tensor],
    at_N: Tensor,
    nodes: int,
) -> EntryAttributions:
    def answer() -> Tensor:
        return output_scores(predictor, tensors, at_N)

    with watched(predictor) as entrances:
        with torch.no_grad(), _read(entrances) as there:
            output_N = answer()
        with torch.no_grad(), _read(entrances) as start:
            base_N = output_scores(predictor, reference, at_N)
        passed = [entrance for entrance in entrances if entrance in there]
        way = {entrance: there[entrance] - start[entrance] for entrance in passed}
        total = {entrance: torch.zeros_like(way[entrance], dtype=torch.float64) for entrance in passed}
        # Gauss and Legendre's nodes: of a smooth function two dozen are as good as hundreds of equal steps.
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
    for one in passed:
        for name, value in _folded(one, total[one] * way[one], changed).items():
            entries[name][...] += value
    return EntryAttributions(entries=entries, base_N=_exact(base_N), output_N=_exact(output_N))


@contextmanager
def _read(entrances: Sequence[Entrance]) -> Iterator[dict[Entrance, Tensor]]:
    """What passes each entrance while the block runs."""
    found: dict[Entrance, Tensor] = {}

    def note(entrance: Any, _: Any, x: Tensor) -> None:
        found[entrance] = x

    with ExitStack() as stack:
        for entrance in entrances:
            stack.callback(entrance.register_forward_hook(note).remove)
        yield found


@contextmanager
def _replaced(points: Mapping[Entrance, Tensor]) -> Iterator[None]:
    """Each entrance gives its point, whatever comes."""

    def give(entrance: Any, _: Any, __: Any) -> Tensor:
        return points[entrance]

    with ExitStack() as stack:
        for entrance in points:
            stack.callback(entrance.register_forward_hook(give).remove)
        yield


def _folded(
    entrance: Entrance, attributed: Tensor, changed: Mapping[str, npt.NDArray[np.float64]]
) -> dict[str, npt.NDArray[np.float64]]:
    """What passed, summed by the entry of the tensor that it was made of; what is of all, spread over `changed`."""
    values = _exact(attributed)
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
    """Of each entry its share among those of its row that differ from the reference (N, *shape)."""
    differs = (tensor != reference) & ~(tensor.isnan() & reference.isnan())
    count_N = differs.flatten(1).sum(1).clamp(min=1).view(-1, *[1] * (tensor.ndim - 1))
    return _exact(differs / count_N)


def _exact(x: Tensor) -> npt.NDArray[np.float64]:
    return x.detach().double().numpy()
