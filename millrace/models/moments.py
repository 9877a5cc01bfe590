"""Means, deviations and extremes over all training rows, taken a piece at a time, as rows may not fit into the memory.

Axes: N rows, F columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

PIECE_BYTES = 2**22
"""The size of one piece, over all tensors together.

Pieces are the same whether the rows lie in memory or in files, so sums have the same bits."""


@dataclass(frozen=True, kw_only=True)
class ColumnMoments:
    """Figures of the known cells of each column, in float64."""

    rows: int
    known_F: Tensor
    mean_F: Tensor
    """The mean; 0 for a column without any known cell."""
    squares_F: Tensor
    """The sum of squared distances from the mean."""
    least_F: Tensor
    """The least known cell; infinity without one."""
    most_F: Tensor
    """The greatest known cell; minus infinity without one."""
    scale_F: Tensor
    """1 / deviation, with a missing cell taken as the mean; 0 for a column that never varies."""


def pieces(tensors: Mapping[str, Tensor], size_bytes: int = PIECE_BYTES) -> Iterator[dict[str, Tensor]]:
    """Successive pieces of rows, each with the same rows of all tensors and about `size_bytes` large."""
    rows = len(next(iter(tensors.values())))
    size = max(1, size_bytes * rows // max(1, sum(value.nbytes for value in tensors.values())))
    for at in range(0, rows, size):
        yield {name: value[at : at + size] for name, value in tensors.items()}


def moments(columns: Callable[[], Iterable[Tensor]]) -> ColumnMoments:
    """The moments of columns (N, F) that come in pieces, with NaN for missing cells.

    `columns` is called twice, and must give the same pieces each time."""
    # First the means, then the squares: squares of distances from the mean are exact. In the difference of the sum of
    # squares and the squared sum, digits would cancel.
    found = [_sums(piece.double()) for piece in columns()]
    counts, known, sums, least, most = zip(*found, strict=True)
    known_F: Tensor = sum(known[1:], known[0])
    mean_F = sum(sums[1:], sums[0]) / known_F.clamp(min=1)
    squares = [(piece.double() - mean_F).square().nansum(0) for piece in columns()]
    squares_F: Tensor = sum(squares[1:], squares[0])
    rows, least_F, most_F = sum(counts), torch.stack(least).amin(0), torch.stack(most).amax(0)
    return ColumnMoments(
        rows=rows,
        known_F=known_F,
        mean_F=mean_F,
        squares_F=squares_F,
        least_F=least_F,
        most_F=most_F,
        scale_F=torch.where(least_F < most_F, 1 / (squares_F / rows).sqrt(), 0.0),
    )


def _sums(exact_NF: Tensor) -> tuple[int, Tensor, Tensor, Tensor, Tensor]:
    """The number of rows, and for each column the number of known cells, their sum, the least and the greatest one."""
    missing_NF = exact_NF.isnan()
    least_F = torch.where(missing_NF, torch.inf, exact_NF).amin(0)
    most_F = torch.where(missing_NF, -torch.inf, exact_NF).amax(0)
    return len(exact_NF), (~missing_NF).sum(0), exact_NF.nansum(0), least_F, most_F
