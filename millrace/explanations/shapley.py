"""Shapley values of the parts of one row, from the model's answers alone: for graphs that have no gradients.

A part's value is what it adds to the answer on average over all orders in which the parts replace the reference's
(Lundberg and Lee 2017, arXiv 1705.07874, with one reference row). P parts, M rows, W numbers of an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import factorial
from typing import TYPE_CHECKING, Any

from millrace.explanations.attribution import Attribution, score

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.explanations.layout import Layout
    from millrace.tasks.task import Task

    Tensors = Mapping[str, npt.NDArray[Any]]
    Outputs = Callable[[Tensors], npt.NDArray[np.floating[Any]]]

MOST_EXACT = 9
"""Parts up to which all subsets are answered, 512 rows; of more, orders are drawn."""
ROWS = 1024
"""Answered for one explanation, about: orders are drawn until there are so many."""
METHOD = "shapley"


@dataclass(frozen=True, kw_only=True)
class Game:
    """The score of one row's answer as a function of the parts that are kept."""

    outputs: Outputs
    task: Task
    layout: Layout
    row: Tensors
    """(*spec.shape) each, as its reference."""
    reference: Tensors
    at: int
    """Which of the W numbers is explained."""

    def answers(self, kept_MP: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """The score (M) where those parts are kept."""
        return score(self.task, self.outputs(self.layout.keep(self.row, self.reference, kept_MP)), self.at)


def explain(game: Game, *, rows: int = ROWS, seed: int = 0) -> Attribution:
    """Exact for few parts; else over random orders and their reverses, the same for the same seed.

    Either way the contributions add up to the answer, less the reference's, but for rounding."""
    import numpy as np

    players = np.flatnonzero(game.layout.differs(game.row, game.reference))
    ends = np.zeros((2, len(game.layout.parts)), np.bool_)
    ends[1, players] = True
    base, output = game.answers(ends)
    contributions = np.zeros(len(game.layout.parts))
    error = 0.0
    if len(players) <= MOST_EXACT:
        contributions[players] = _exact(game, players)
    else:
        contributions[players], error = _sampled(game, players, rows, np.random.default_rng(seed))
    return Attribution(
        parts=game.layout.parts,
        contributions=contributions,
        base=float(base),
        output=float(output),
        standard_error=error,
    )


def _exact(game: Game, players: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """By all subsets S, as numbers whose bits say who is in: |S|! (n - |S| - 1)! / n! × what a player adds to S."""
    import numpy as np

    count = len(players)
    if not count:
        return np.zeros(0)
    subsets = np.arange(2**count)
    inside = (subsets[:, None] >> np.arange(count) & 1).astype(np.bool_)
    kept = np.zeros((len(subsets), len(game.layout.parts)), np.bool_)
    kept[:, players] = inside
    answer_S = game.answers(kept)
    weight_S = np.array([factorial(size) * factorial(count - size - 1) for size in range(count)]) / factorial(count)
    found = np.zeros(count)
    for player in range(count):
        without = subsets[~inside[:, player]]
        added = answer_S[without | 1 << player] - answer_S[without]
        found[player] = (weight_S[inside[without].sum(axis=1)] * added).sum()
    return found


def _sampled(
    game: Game, players: npt.NDArray[np.int64], rows: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], float]:
    """The means over pairs of an order and its reverse, and the largest standard error of them."""
    import numpy as np

    pairs = max(2, rows // (2 * len(players)))
    added = np.zeros((pairs, len(players)))
    for pair in range(pairs):
        order = rng.permutation(len(players))
        for one in (order, order[::-1]):
            # Row k keeps the first k players of the order.
            kept = np.zeros((len(players) + 1, len(game.layout.parts)), np.bool_)
            for before, after in pairwise(range(len(players) + 1)):
                kept[after] = kept[before]
                kept[after, players[one[before]]] = True
            added[pair, one] += np.diff(game.answers(kept)) / 2
    return added.mean(axis=0), float(added.std(axis=0, ddof=1).max() / pairs**0.5)
