"""Numbers as vectors before the first layer (Gorishniy et al. 2022, arXiv 2203.05556).

N rows, A numbers, T pieces or frequencies per number. What is fitted lies in buffers, of sizes that the hyperparameters
give, so that a graph can be made before the rows are known. A column that never varies in training has no say; a
missing cell is all zeros, and a column beside it (`columns.py`) says so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from millrace.models.moments import moments, pieces
from millrace.models.standardise import bounded, standardised

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_ROWS = 100_000
"""A tree of one column sees about so many rows: more do not move its edges by much."""
LEAST_SHARE = 0.002
"""Of the known rows, in each leaf of such a tree."""


class Numbers(nn.Module):
    """The numbers (N, A) in, NaN where missing; (N, `width`) out."""

    width: int

    def fit(self, numbers_NA: Tensor, target_N: Tensor) -> None:
        """Take what is no learnt weight from the training rows."""
        raise NotImplementedError


class PiecewiseLinear(Numbers):
    """Each number as T lengths: how far it goes through each of T intervals, from 0 to 1.

    The intervals end where a small decision tree of that column alone splits the targets. With intervals of equal
    counts a network reached .913 instead of .924 AUC on the validation rows of `adult`."""

    low_AT: Tensor
    slope_AT: Tensor
    """1 / length of the interval; 0 for one that is not used."""

    def __init__(self, optional: tuple[bool, ...], pieces: int) -> None:
        super().__init__()
        self.width, self.pieces, self.may_miss = len(optional) * pieces, pieces, any(optional)
        self.register_buffer("low_AT", torch.zeros(len(optional), pieces))
        self.register_buffer("slope_AT", torch.zeros(len(optional), pieces))

    def fit(self, numbers_NA: Tensor, target_N: Tensor) -> None:
        every = math.ceil(len(numbers_NA) / MOST_ROWS)
        numbers, target = numbers_NA[::every].cpu().numpy(), target_N[::every].cpu().numpy()
        for place in range(numbers.shape[1]):
            edges = torch.from_numpy(_edges(numbers[:, place], target, self.pieces))
            low, length = edges[:-1], edges.diff()
            self.low_AT[place, : len(low)] = low
            self.slope_AT[place, : len(low)] = 1 / length

    def forward(self, numbers_NA: Tensor) -> Tensor:
        if self.may_miss:
            missing = numbers_NA.isnan()[:, :, None]
            numbers_NA = numbers_NA.nan_to_num()
        lengths = (bounded(numbers_NA[:, :, None] - self.low_AT) * self.slope_AT).clamp(0, 1)  # (N, A, T)
        return (torch.where(missing, 0.0, lengths) if self.may_miss else lengths).flatten(1)


class Periodic(Numbers):
    """Each number as sines and cosines of learnt frequencies, through a small layer of its own (PLR)."""

    mean_A: Tensor
    scale_A: Tensor
    WIDTH = 16

    def __init__(self, optional: tuple[bool, ...], frequencies: int, deviation: float) -> None:
        super().__init__()
        columns, self.width, self.may_miss = len(optional), len(optional) * self.WIDTH, any(optional)
        bound = (2 * frequencies) ** -0.5
        self.frequencies_AT = nn.Parameter(torch.randn(columns, frequencies) * deviation)
        self.weights_ATD = nn.Parameter(torch.empty(columns, 2 * frequencies, self.WIDTH).uniform_(-bound, bound))
        self.bias_AD = nn.Parameter(torch.empty(columns, self.WIDTH).uniform_(-bound, bound))
        self.register_buffer("mean_A", torch.zeros(columns))
        self.register_buffer("scale_A", torch.ones(columns))

    def fit(self, numbers_NA: Tensor, target_N: Tensor) -> None:
        found = moments(lambda: (piece["numbers"] for piece in pieces({"numbers": numbers_NA})))
        self.mean_A.copy_(found.mean_F)
        self.scale_A.copy_(found.scale_F)

    def forward(self, numbers_NA: Tensor) -> Tensor:
        missing = numbers_NA.isnan()
        x_NA = standardised(numbers_NA, self.mean_A, self.scale_A)
        if self.may_miss:
            x_NA = torch.where(missing, 0.0, x_NA)
        angles = 2 * math.pi * self.frequencies_AT * x_NA[:, :, None]  # (N, A, T)
        waves = torch.cat([angles.sin(), angles.cos()], dim=2)  # (N, A, 2 T)
        found = torch.relu((waves[:, :, None, :] @ self.weights_ATD)[:, :, 0] + self.bias_AD)  # (N, A, D)
        return (torch.where(missing[:, :, None], 0.0, found) if self.may_miss else found).flatten(1)


def _edges(
    column_N: npt.NDArray[np.float32], target_N: npt.NDArray[np.generic], pieces: int
) -> npt.NDArray[np.float32]:
    """The ends of at most `pieces` intervals, from the least to the greatest known number; one end alone where it never
    varies."""
    import numpy as np
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    known = ~np.isnan(column_N)
    x_N1, target_N = column_N[known, None], target_N[known]
    if not len(x_N1):
        return np.zeros(1, np.float32)
    # A class is an integer; 0 and 1 as floats are split alike by either tree.
    kind = DecisionTreeClassifier if target_N.dtype == np.int64 and target_N.ndim == 1 else DecisionTreeRegressor
    least = max(1, round(LEAST_SHARE * len(x_N1)))
    tree = kind(max_leaf_nodes=max(2, pieces), min_samples_leaf=least, random_state=0).fit(x_N1, target_N).tree_
    inner = tree.threshold[tree.children_left >= 0][: pieces - 1].astype(np.float32)
    return np.unique(np.concatenate([x_N1.min(0), inner, x_N1.max(0)]))
