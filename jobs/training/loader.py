"""The training loop's source of batches: all rows on the device.

N rows, B rows per step, S steps per epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows of the signature's tensors (B, …) and of their targets (B)."""

    tensors: Mapping[str, Tensor]
    target_B: Tensor


@dataclass(frozen=True, kw_only=True)
class Resident:
    """All rows at once, on the device that `to` names."""

    tensors: Mapping[str, Tensor]
    target_N: Tensor

    def __len__(self) -> int:
        return len(self.target_N)

    @property
    def all(self) -> Batch:
        return Batch(tensors=self.tensors, target_B=self.target_N)

    def to(self, device: torch.device) -> Resident:
        moved = {name: value.to(device) for name, value in self.tensors.items()}
        return Resident(tensors=moved, target_N=self.target_N.to(device))

    def order(self, *, seed: int, size: int) -> Tensor:
        """The rows (S, B) of an epoch's steps; the rows left over by the last full step differ from seed to seed."""
        rows_N = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        steps = len(self) // size
        return rows_N[: steps * size].view(steps, size).to(self.target_N.device)

    def batch(self, rows_B: Tensor) -> Batch:
        return Batch(
            tensors={name: value[rows_B] for name, value in self.tensors.items()}, target_B=self.target_N[rows_B]
        )
