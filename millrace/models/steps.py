"""The part of a network that reads the steps of one history: standardised, and with a mark for what is missing.

Every family that takes a history uses it. Means and scales are buffers, so they travel with the weights, and the graph
takes raw cells. Axes: N rows, T steps, F columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from millrace.features.signature import JOINED, Signature
from millrace.models.moments import moments, pieces
from millrace.models.standardise import standardised


class Steps(nn.Module):
    """The tensor of one history (N, T, F) in; two tensors (N, T, F) out.

    The first has the standardised cells, and 0, the mean, for missing ones. The second is 1 for missing cells, else 0.
    The history is the one tensor of the signature that is neither `numbers` nor `categories`."""

    mean_F: Tensor
    scale_F: Tensor

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        [past] = [spec for spec in signature if spec.name not in JOINED]
        self.name = past.name
        self.steps, self.features = past.shape[0] or 1, past.shape[1] or 1
        self.register_buffer("mean_F", torch.zeros(self.features))
        self.register_buffer("scale_F", torch.ones(self.features))

    def fit(self, tensors: Mapping[str, Tensor]) -> None:
        """Take mean and scale of the known steps, in float64; a column that never varies is switched off."""
        with torch.no_grad():
            own = {self.name: tensors[self.name]}
            found = moments(lambda: (piece[self.name].flatten(0, 1) for piece in pieces(own)))
            # The deviation is over the known cells only. Rounding may leave a constant column a tiny one, so it is
            # compared with the mean.
            mean_F, deviation_F = found.mean_F, (found.squares_F / found.known_F.clamp(min=1)).sqrt()
            self.mean_F.copy_(mean_F)
            self.scale_F.copy_(torch.where(deviation_F > 1e-9 * (1 + mean_F.abs()), 1 / deviation_F, 0.0))

    def forward(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        raw = tensors[self.name]  # (N, T, F)
        missing = raw.isnan()
        known = torch.where(missing, 0.0, standardised(raw, self.mean_F, self.scale_F))  # (N, T, F)
        return known, missing.float()
