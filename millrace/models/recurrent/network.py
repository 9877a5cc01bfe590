"""The network of the recurrent families: layers over the steps of one history, with the table's columns beside them.

The last step itself goes to the dense layers too: most series stay near to where they were. Axes: N rows, T steps, F
columns, U units, G numbers of the table's columns, W numbers out.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import Signature
from millrace.models.columns import Columns
from millrace.models.recurrent.declaration import Recurrent
from millrace.models.steps import Steps


class RecurrentNetwork(nn.Module):
    """One history (N, T, F) of float32 in, with `numbers` and `categories` if there are any; raw numbers (N, W) out."""

    def __init__(self, parameters: Recurrent, signature: Signature, width: int) -> None:
        super().__init__()
        self.dropout = parameters.dropout
        self.steps, self.columns = Steps(signature), Columns(signature)
        inputs = 2 * self.steps.features
        layers = getattr(nn, type(parameters).__name__.upper())
        self.recurrent = layers(inputs, parameters.units, parameters.layers, batch_first=True)
        self.hidden = nn.Linear(parameters.units + inputs + self.columns.width, parameters.hidden)
        self.head = nn.Linear(parameters.hidden, width)

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        """Take mean and scale of the steps and the columns from the training rows."""
        self.steps.fit(tensors)
        self.columns.fit(tensors, target_N)

    def forward(self, **tensors: Tensor) -> Tensor:
        steps = torch.cat(self.steps(tensors), dim=2)  # (N, T, 2 F)
        states, _ = self.recurrent(steps)  # (N, T, U)
        last = torch.cat([states[:, -1], steps[:, -1]], dim=1)  # (N, U + 2 F)
        state = functional.gelu(self.hidden(self.columns.beside(last, tensors)))  # (N, hidden), of U + 2 F + G
        found: Tensor = self.head(functional.dropout(state, self.dropout, self.training))  # (N, W)
        return found
