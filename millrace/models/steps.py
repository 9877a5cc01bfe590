"""The steps of one history in a network: standardised, and what is missing said so; for every family that takes them.

N rows, T steps, F columns. Standardisation is in buffers, so it travels with the weights and the graph takes raw cells.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from millrace.features.signature import JOINED, Signature
from millrace.models.entrance import Entrance
from millrace.models.moments import moments, pieces
from millrace.models.standardise import standardised


class Steps(nn.Module):
    """The one tensor (N, T, F) of float32 that is no `numbers` and no `categories` in; known and missing (N, T, F) out.

    What is missing counts as the mean, 0, and is 1 in the second tensor."""

    mean_F: Tensor
    scale_F: Tensor

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        [past] = [spec for spec in signature if spec.name not in JOINED]
        self.name = past.name
        self.steps, self.features = past.shape[0] or 1, past.shape[1] or 1
        self.known, self.missing = Entrance(self.name, axes=2), Entrance(self.name, axes=2)
        self.register_buffer("mean_F", torch.zeros(self.features))
        self.register_buffer("scale_F", torch.ones(self.features))

    def fit(self, tensors: Mapping[str, Tensor]) -> None:
        """Mean and scale of the steps that are known, in float64; a column that never varies is switched off."""
        with torch.no_grad():
            own = {self.name: tensors[self.name]}
            found = moments(lambda: (piece[self.name].flatten(0, 1) for piece in pieces(own)))
            mean_F, deviation_F = found.mean_F, (found.squares_F / found.known_F.clamp(min=1)).sqrt()
            self.mean_F.copy_(mean_F)
            self.scale_F.copy_(torch.where(deviation_F > 1e-9 * (1 + mean_F.abs()), 1 / deviation_F, 0.0))

    def forward(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        raw = tensors[self.name]  # (N, T, F)
        missing = raw.isnan()
        known = torch.where(missing, 0.0, standardised(raw, self.mean_F, self.scale_F))  # (N, T, F)
        return self.known(known), self.missing(missing.float())
