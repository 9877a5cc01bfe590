"""Sums over all training rows, a piece of them at a time: the rows may be more than the machine's memory holds.

N rows, F columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

PIECE_BYTES = 2**22
"""Of tensors that are looked at together. The pieces do not depend on where the rows lie: sums have the same bits."""


@dataclass(frozen=True, kw_only=True)
class ColumnMoments:
    """Of the known cells of each column, in float64; of one without any the mean is 0."""

    rows: int
    known_F: Tensor
    mean_F: Tensor
    squares_F: Tensor
    """The sum of squared distances from the mean."""
    least_F: Tensor
    most_F: Tensor
    scale_F: Tensor
    """1 / deviation where a missing cell counts as the mean; 0 for a column that never varies."""


def pieces(tensors: Mapping[str, Tensor], size_bytes: int = PIECE_BYTES) -> Iterator[dict[str, Tensor]]:
    """The same rows of all tensors, one piece after the other."""
    rows = len(next(iter(tensors.values())))
    size = max(1, size_bytes * rows // max(1, sum(value.nbytes for value in tensors.values())))
    for at in range(0, rows, size):
        yield {name: value[at : at + size] for name, value in tensors.items()}


def moments(columns: Callable[[], Iterable[Tensor]]) -> ColumnMoments:
    """Of columns (N, F) that come in pieces, NaN where missing; they are asked for twice.

    Twice, since squares of distances from the mean are exact where those from 0 cancel."""
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
    """Rows, and of each column the known cells, their sum, the least and the greatest."""
    missing_NF = exact_NF.isnan()
    least_F = torch.where(missing_NF, torch.inf, exact_NF).amin(0)
    most_F = torch.where(missing_NF, -torch.inf, exact_NF).amax(0)
    return len(exact_NF), (~missing_NF).sum(0), exact_NF.nansum(0), least_F, most_F
