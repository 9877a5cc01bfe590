"""A frozen encoder within a network, beside what the network learns.

Axes: N rows, D numbers of a vector."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from millrace.models.backbone import Backbone
from millrace.models.moments import moments, pieces
from millrace.models.sentence import SentenceEncoder

Encoder = SentenceEncoder | Backbone

FLOOR = 0.05
"""A number that hardly varies among few rows would be far off in the next one: so much of the mean deviation is added
to each deviation."""


class Frozen(nn.Module):
    """The tensors of the rows in; the vector (N, D) that an encoder makes of one of them out. Nothing of it learns.

    A training keeps the vectors of its rows beside their tensors, as `vector_name` names them."""

    mean_D: Tensor
    scale_D: Tensor

    def __init__(self, name: str, encoder: Encoder, *, scale: float = 1.0) -> None:
        super().__init__()
        self.name, self.encoder, self.width = name, encoder.requires_grad_(requires_grad=False), encoder.width
        self.register_buffer("mean_D", torch.zeros(self.width))
        self.register_buffer("scale_D", torch.full((self.width,), scale))

    def fit(self, tensors: Mapping[str, Tensor]) -> None:
        """Standardise the vectors by those of the training rows, where these are kept."""
        kept = {name: tensors[name] for name in (vector_name(self.name),) if name in tensors}
        if kept:
            found = moments(lambda: (vectors_ND for piece in pieces(kept) for vectors_ND in piece.values()))
            deviation_D = (found.squares_F / found.rows).sqrt()
            self.mean_D.copy_(found.mean_F)
            self.scale_D.copy_(1 / (deviation_D + FLOOR * deviation_D.mean()).clamp(min=1e-6))

    def forward(self, tensors: Mapping[str, Tensor]) -> Tensor:
        kept_ND = tensors.get(vector_name(self.name))
        vectors_ND: Tensor = self.encoder(tensors[self.name]) if kept_ND is None else kept_ND
        return (vectors_ND - self.mean_D) * self.scale_D


def vector_name(feature: str) -> str:
    """The name beside the signature's tensors under which the vectors of a feature's rows are kept."""
    return f"{feature}.vector"
