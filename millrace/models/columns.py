"""The part of a network that reads the table's columns: numbers and categories, standardised or embedded.

Every family uses it. A number becomes one column; a number that may be missing gets a second column that says whether
it is. A category with few values becomes a column of 0 and 1 for each value. A category with many values gets an
embedding. A missing or unknown category is all zeros. A family may also embed its numbers, and categories with few
values. Means and scales are buffers, so they travel with the weights, and the graph takes raw cells.

Axes: N rows, A numbers, B categories, F columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from millrace.features.signature import JOINED, Signature
from millrace.models.moments import moments, pieces
from millrace.models.numbers import PiecewiseLinear
from millrace.models.standardise import standardised

MOST_COLUMNS = 64
"""A category with more values than this gets an embedding."""
WIDEST_EMBEDDING = 32
"""The most numbers of an embedding; one of fewer values has about the square root of their number."""


class Columns(nn.Module):
    """The tensors `numbers` (N, A) and `categories` (N, B) in, or one or none of them; (N, `width`) out."""

    mean_F: Tensor
    scale_F: Tensor
    """1 / deviation; 0 for a column that never varies in training."""

    def __init__(
        self, signature: Signature, *, numbers: PiecewiseLinear | None = None, most_columns: int = MOST_COLUMNS
    ) -> None:
        """Make the columns, with `numbers` as the embedding of all numbers, if it is given.

        Each category with more values than `most_columns` gets an embedding."""
        super().__init__()
        # Which entries of the tensors there are: numbers that may be missing, and categories with few or many values.
        specs = {spec.name: spec for spec in signature}
        optional = specs["numbers"].optional if "numbers" in specs else ()
        values = [count or 1 for count in specs["categories"].cardinalities] if "categories" in specs else []
        self.may_miss = [place for place, may_miss in enumerate(optional) if may_miss]
        self.few = [(place, count) for place, count in enumerate(values) if count - 1 <= most_columns]
        self.many = [(place, count) for place, count in enumerate(values) if count - 1 > most_columns]
        self.numbers = numbers
        # How many columns are standardised (embeddings are not), and how many outputs each cell has.
        columns = (0 if numbers else len(optional)) + len(self.may_miss) + sum(count - 1 for _, count in self.few)
        sizes = [min(WIDEST_EMBEDDING, round(count**0.5)) for _, count in self.many]
        alone = [1] * len(optional) if not numbers else [numbers.width // len(optional)] * len(optional)
        self.spans = (*alone, *[1] * len(self.may_miss), *(count - 1 for _, count in self.few), *sizes)
        """How many outputs, side by side, come from the same cell. The sum is `width`."""
        self.width = sum(self.spans)
        self.is_empty = not specs.keys() & {"numbers", "categories"}
        self.embeddings = nn.ModuleList(
            nn.Embedding(count, size, padding_idx=0) for (_, count), size in zip(self.many, sizes, strict=True)
        )
        self.register_buffer("mean_F", torch.zeros(columns), persistent=columns > 0)
        self.register_buffer("scale_F", torch.ones(columns), persistent=columns > 0)
        for place, count in self.few:
            self.register_buffer(f"values_{place}", torch.arange(1, count), persistent=False)

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        """Take mean and scale from the training rows.

        A column that never varies there is switched off, since nothing can be learnt about it. If it were scaled by 1,
        its first new value would meet random weights (measured on elec2, May 1997: accuracy 0.64 instead of 0.84). Sums
        are in float64: in float32 a constant column would get a deviation from rounding errors. A missing cell counts
        as the mean. A category value that never occurs counts as missing."""
        if self.is_empty:
            return
        with torch.no_grad():
            if self.numbers:
                self.numbers.fit(tensors["numbers"], target_N)
            if len(self.mean_F):
                own: dict[str, Tensor] = {name: tensors[name] for name in JOINED if name in tensors}
                found = moments(lambda: (self._columns(piece) for piece in pieces(own)))
                self.mean_F.copy_(found.mean_F)
                self.scale_F.copy_(found.scale_F)
            for (place, count), embedding in zip(self.many, self.embeddings, strict=True):
                # The untrained vector of a value that never occurs would be noise: it becomes zero, like a missing one.
                occurs = torch.bincount(tensors["categories"][:, place], minlength=count) > 0
                embedding.weight.mul_(occurs[:, None])  # type: ignore[operator]

    def forward(self, tensors: Mapping[str, Tensor]) -> Tensor:
        raw_NF = self._columns(tensors)
        x_NF = standardised(raw_NF, self.mean_F, self.scale_F)
        if self.may_miss:
            x_NF = torch.where(raw_NF.isnan(), 0.0, x_NF)
        if self.numbers:
            x_NF = torch.cat([self.numbers(tensors["numbers"]), x_NF], dim=1)
        if self.many:
            found = zip(self.many, self.embeddings, strict=True)
            looked_up = [embedding(tensors["categories"][:, place]) for (place, _), embedding in found]
            x_NF = torch.cat([x_NF, *looked_up], dim=1)
        return x_NF

    def beside(self, state_NH: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """The state with the columns joined at its end; the state alone if there is no column."""
        return state_NH if self.is_empty else torch.cat([state_NH, self(tensors)], dim=1)

    def _columns(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The raw columns that are to be standardised (N, F): numbers, whether each is missing, and category values."""
        parts = []
        if "numbers" in tensors:
            if not self.numbers:
                parts.append(tensors["numbers"])
            parts += [tensors["numbers"][:, place : place + 1].isnan().float() for place in self.may_miss]
        for place, _ in self.few:
            values = getattr(self, f"values_{place}")
            parts.append((tensors["categories"][:, place : place + 1] == values).float())
        if not parts:
            # No column, but as many rows: the graph must know their number.
            return tensors["numbers" if self.numbers else "categories"][:, :0].float()
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
