"""A transformer encoder over one sequence: the pieces of a text, or the steps of a history.

It follows Vaswani et al. 2017, Attention Is All You Need (arXiv 1706.03762), with normalisation before each part (Xiong
et al. 2020, arXiv 2002.04745). Axes: N rows, T places, F columns of a history, D numbers of a place, H heads, W numbers
out.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import JOINED, Signature, TensorSpec
from millrace.models.columns import Columns
from millrace.models.steps import Steps
from millrace.models.transformer.declaration import Transformer

ROWS_AT_ONCE = 256
"""How many rows pass together when a whole part is judged: the scores (N, H, T, T) of all rows would take gigabytes."""
FAR_BELOW = -1e9
"""Added to the scores of padding. Not minus infinity: the softmax of a text without any piece would be NaN."""


class Pieces(nn.Module):
    """The ids of a text (N, T) in; a vector for each place (N, T, D), and which places are not padding (N, T), out."""

    def __init__(self, spec: TensorSpec, dimension: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(spec.cardinalities[0] or 1, dimension)
        nn.init.normal_(self.vectors.weight, std=0.02)

    def fit(self, ids_NT: Tensor) -> None:
        """Do nothing: all of this module is learnt."""

    def forward(self, ids_NT: Tensor) -> tuple[Tensor, Tensor]:
        return self.vectors(ids_NT), ids_NT > 0


class StepTokens(nn.Module):
    """A history (N, T, F) in; vectors (N, T, D) and places (N, T) out, as for `Pieces`. No step is padding.

    A missing cell counts as the mean, and a second column says that it is missing."""

    def __init__(self, spec: TensorSpec, dimension: int) -> None:
        super().__init__()
        self.steps = Steps((spec,))
        self.enter = nn.Linear(2 * self.steps.features, dimension)

    def fit(self, steps_NTF: Tensor) -> None:
        self.steps.fit({self.steps.name: steps_NTF})

    def forward(self, steps_NTF: Tensor) -> tuple[Tensor, Tensor]:
        known, missing = self.steps({self.steps.name: steps_NTF})  # each (N, T, F)
        return self.enter(torch.cat([known, missing], dim=2)), torch.ones_like(missing[:, :, 0]) > 0


class Layer(nn.Module):
    """Attention among the places, then two linear layers at each place. The result of each is added to its input."""

    def __init__(self, dimension: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm, self.norm_after = nn.LayerNorm(dimension), nn.LayerNorm(dimension)
        # Query, key and value of all heads by one matrix.
        self.all = nn.Linear(dimension, 3 * dimension)
        self.out = nn.Linear(dimension, dimension)
        self.wide, self.narrow = nn.Linear(dimension, 4 * dimension), nn.Linear(4 * dimension, dimension)

    def forward(self, x: Tensor, mask_N11T: Tensor) -> Tensor:
        x = x + self._drop(self._attend(self.norm(x), mask_N11T))  # (N, T, D)
        inner = functional.gelu(self.wide(self.norm_after(x)))  # (N, T, 4 D)
        return x + self._drop(self.narrow(inner))  # (N, T, D)

    def _attend(self, x: Tensor, mask_N11T: Tensor) -> Tensor:
        """What each place takes from all places (N, T, D); the mask is added to the scores."""
        split = self.all(x).unflatten(2, (3, self.heads, -1))  # (N, T, 3, H, D / H)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (N, H, T, D / H)
        scores = query @ key.transpose(2, 3) * query.shape[3] ** -0.5  # (N, H, T, T)
        weights = self._drop(torch.softmax(scores + mask_N11T, dim=3))  # (N, H, T, T)
        found: Tensor = self.out((weights @ value).transpose(1, 2).flatten(2))  # (N, T, D)
        return found

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class TransformerTrunk(nn.Module):
    """The ids of a text (N, T) or the steps of a history (N, T, F) in; two summaries of all places (N, `width`) out."""

    def __init__(self, spec: TensorSpec, parameters: Transformer) -> None:
        super().__init__()
        dimension, self.dropout = parameters.dimension, parameters.dropout
        self.ends_now, self.width = spec.kind == "history", 2 * dimension
        self.enter: Pieces | StepTokens = StepTokens(spec, dimension) if self.ends_now else Pieces(spec, dimension)
        # A learnt vector for each place, as attention itself does not know the order of places.
        self.places_TD = nn.Parameter(torch.randn(spec.shape[0] or 1, dimension) * 0.02)
        self.layers = nn.ModuleList(Layer(dimension, parameters.heads, self.dropout) for _ in range(parameters.layers))
        self.norm = nn.LayerNorm(dimension)

    def fit(self, sequence: Tensor) -> None:
        self.enter.fit(sequence)

    def forward(self, sequence: Tensor) -> Tensor:
        # In training the batch size bounds the rows, and whoever runs the graph keeps to `rows_per_pass`.
        if self.training or torch.compiler.is_exporting() or len(sequence) <= ROWS_AT_ONCE:
            return self._summary(sequence)
        return torch.cat([self._summary(part) for part in torch.split(sequence, ROWS_AT_ONCE)])

    def _summary(self, sequence: Tensor) -> Tensor:
        """The mean over the places that are not padding, and the strongest or the last place (N, 2 D)."""
        x, known_NT = self.enter(sequence)  # (N, T, D), (N, T)
        x = functional.dropout(x + self.places_TD, self.dropout, self.training)  # (N, T, D)
        mask_N11T = torch.where(known_NT, 0.0, FAR_BELOW)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask_N11T)  # (N, T, D)
        x = self.norm(x)
        known = known_NT[:, :, None].float()  # (N, T, 1)
        mean = (x * known).sum(1) / known.sum(1).clamp(min=1.0)  # (N, D)
        # Beside the mean: the largest value over the places of a text, or the last step of a history, which is now.
        most = torch.where(known > 0, x, FAR_BELOW).amax(1) * (known.sum(1) > 0)  # (N, D)
        return torch.cat([mean, x[:, -1] if self.ends_now else most], dim=1)  # (N, 2 D)


class TransformerNetwork(nn.Module):
    """One text (N, T) of int64 or one history (N, T, F) of float32 in; raw numbers (N, W) out.

    It also takes `numbers` and `categories`, if there are any."""

    def __init__(self, parameters: Transformer, signature: Signature, width: int) -> None:
        super().__init__()
        [own] = [spec for spec in signature if spec.name not in JOINED]
        self.sequence = own.name
        self.trunk = TransformerTrunk(own, parameters)
        self.columns = Columns(signature)
        self.head = nn.Linear(self.trunk.width + self.columns.width, width)

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        self.columns.fit(tensors, target_N)
        self.trunk.fit(tensors[self.sequence])

    def forward(self, **tensors: Tensor) -> Tensor:
        raw_NW: Tensor = self.head(self.columns.beside(self.trunk(tensors[self.sequence]), tensors))  # (N, W)
        return raw_NW
