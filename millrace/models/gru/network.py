"""A gated recurrent network over the steps of one history, the table's columns beside its last state.

N rows, T steps, F columns, W numbers out. What is missing in a step counts as the mean, and a second column says so.
The last known value of each column is handed to the head too: most series are near to where they were.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import JOINED, Signature
from millrace.models.columns import Columns
from millrace.models.gru.declaration import Gru


class RecurrentNetwork(nn.Module):
    """One tensor (N, T, F) of float32, `numbers` and `categories` if there are any, in; raw numbers (N, W) out."""

    past_mean_F: Tensor
    past_scale_F: Tensor

    def __init__(self, parameters: Gru, signature: Signature, width: int) -> None:
        super().__init__()
        [past] = [spec for spec in signature if spec.name not in JOINED]
        self.past, self.dropout = past.name, parameters.dropout
        features = past.shape[1] or 1
        self.columns = Columns(signature)
        self.gru = nn.GRU(2 * features, parameters.units, parameters.layers, batch_first=True)
        self.hidden = nn.Linear(parameters.units + 2 * features + self.columns.width, parameters.hidden)
        self.head = nn.Linear(parameters.hidden, width)
        self.register_buffer("past_mean_F", torch.zeros(features))
        self.register_buffer("past_scale_F", torch.ones(features))

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        """Mean and scale of the steps that are known, in float64; a column that never varies is switched off."""
        self.columns.fit(tensors, target_N)
        with torch.no_grad():
            exact = tensors[self.past].double().flatten(0, 1)
            mean_F = exact.nanmean(0).nan_to_num()
            deviation_F = (exact - mean_F).square().nanmean(0).nan_to_num().sqrt()
            self.past_mean_F.copy_(mean_F)
            self.past_scale_F.copy_(torch.where(deviation_F > 1e-9 * (1 + mean_F.abs()), 1 / deviation_F, 0.0))

    def forward(self, **tensors: Tensor) -> Tensor:
        raw = tensors[self.past]
        missing = raw.isnan()
        known = torch.where(missing, 0.0, (raw - self.past_mean_F) * self.past_scale_F)
        steps = torch.cat([known, missing.float()], dim=2)
        states, _ = self.gru(steps)
        last = torch.cat([states[:, -1], steps[:, -1]], dim=1)
        state = functional.gelu(self.hidden(self.columns.beside(last, tensors)))
        found: Tensor = self.head(functional.dropout(state, self.dropout, self.training))
        return found


def build(parameters: Gru, signature: Signature, width: int) -> RecurrentNetwork:
    """The untrained network that gives `width` numbers per row."""
    return RecurrentNetwork(parameters, signature, width)
