"""Shapley values of the parts of one row, from the model's answers alone: so they suit a graph, and trees.

Parts of the row replace those of the reference, one after the other. The value of a part is what its turn adds to the
answer, on average over all orders (Lundberg and Lee 2017, arXiv 1705.07874, with one reference row).

Axes: P parts, M rows, W numbers of an answer, S subsets of parts, O orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
"""For up to so many parts, all subsets are answered: 512 rows. For more parts, orders are drawn."""
ROWS = 1024
"""About how many rows the model answers for one explanation with drawn orders."""


@dataclass(frozen=True, kw_only=True)
class Game:
    """The score of one row's answer, as a function of the parts that are kept."""

    outputs: Outputs
    """The model: tensors (M, *spec.shape) in, numbers (M, W) out."""
    task: Task
    layout: Layout
    row: Tensors
    """The tensors of the row, each of the shape (*spec.shape)."""
    reference: Tensors
    """The tensors of its reference, of the same shapes."""
    at: int
    """Which of the W numbers is explained."""

    def answers(self, kept_MP: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """The scores (M) of rows that keep these parts; the other parts are the reference's."""
        return score(self.task, self.outputs(self.layout.keep(self.row, self.reference, kept_MP)), self.at)


def explain(game: Game, *, rows: int = ROWS, seed: int = 0) -> Attribution:
    """The attribution of the row's answer: exact for few parts, else over random orders and their reverses.

    An equal seed gives equal orders. Either way the contributions add up to the row's score less the reference's, but
    for rounding."""
    import numpy as np

    # The players are the parts that differ from the reference: all others add nothing.
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
        at=game.at,
        contributions=contributions,
        base=float(base),
        output=float(output),
        standard_error=error,
    )


def _exact(game: Game, players: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The sum over all subsets S of what a player adds to S, each times |S|! (n - |S| - 1)! / n!."""
    import numpy as np

    count = len(players)
    if not count:
        return np.zeros(0)
    # A subset is a number: bit k says whether player k is in it.
    subsets = np.arange(2**count)
    inside = (subsets[:, None] >> np.arange(count) & 1).astype(np.bool_)
    kept = np.zeros((len(subsets), len(game.layout.parts)), np.bool_)
    kept[:, players] = inside
    answer_S = game.answers(kept)
    weight_S = np.array([factorial(size) * factorial(count - size - 1) for size in range(count)]) / factorial(count)
    found = np.zeros(count)
    for player in range(count):
        # Each subset without the player, beside the same subset with the player's bit set.
        without = subsets[~inside[:, player]]
        added = answer_S[without | 1 << player] - answer_S[without]
        found[player] = (weight_S[inside[without].sum(axis=1)] * added).sum()
    return found


def _sampled(
    game: Game, players: npt.NDArray[np.int64], rows: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], float]:
    """The mean of what each player adds, over pairs of an order and its reverse, and the largest standard error."""
    import numpy as np

    # An order takes a row for each player and one more, and a pair has two orders.
    count = len(players)
    pairs = max(2, rows // (2 * count))
    drawn = np.array([rng.permutation(count) for _ in range(pairs)])
    orders_OP = np.concatenate([drawn, drawn[:, ::-1]])
    place_OP = orders_OP.argsort(axis=1)
    # Row k of an order keeps its first k players. Orders share rows: of few players about half are answered already.
    inside = place_OP[:, None] < np.arange(count + 1)[:, None]
    subsets, row_of = np.unique(inside.reshape(-1, count), axis=0, return_inverse=True)
    kept = np.zeros((len(subsets), len(game.layout.parts)), np.bool_)
    kept[:, players] = subsets
    # A few rows at a time: those of images would fill the memory.
    answer_S = np.concatenate([game.answers(some) for some in np.array_split(kept, pairs)])
    # What player k of an order adds is the difference of two rows.
    gain_OP = np.diff(answer_S[row_of].reshape(len(orders_OP), -1))
    added = np.take_along_axis(gain_OP, place_OP, axis=1).reshape(2, pairs, count).mean(axis=0)
    return added.mean(axis=0), float(added.std(axis=0, ddof=1).max() / pairs**0.5)
