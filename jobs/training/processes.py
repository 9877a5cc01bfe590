"""The processes that train one model together: each computes its part of every step's rows.

All hold all rows and the same weights. Of the B rows of a step a process takes B / `size`, then the gradients are
averaged over all of them: the mean of equal parts is the mean of the whole step, so training equals that of one process
up to the order of sums. Not torch's DistributedDataParallel: it rearranges its buckets after the first step, and a run
that was resumed would sum in another order than one that was not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import Parameter

from millrace.errors import TrainingError

PATIENCE = timedelta(minutes=10)
"""A process that waits longer for the others has lost them. The first one saves checkpoints while they wait."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process's place among them; alone without further words."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    """How many of them are on this machine."""
    talk: dist.ProcessGroup | None = None
    """The group for what no GPU is needed for."""

    @property
    def is_first(self) -> bool:
        """Whether it is the one that judges epochs and writes checkpoints, figures and the artefact."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """Its own GPU, where there is one."""
        return torch.device("cuda", self.local_rank) if torch.cuda.is_available() else torch.device("cpu")

    @property
    def threads(self) -> int:
        """Its part of the machine's processors."""
        return max(1, (os.cpu_count() or 1) // self.local_size)

    def step_size(self, wanted: int, rows: int) -> int:
        """Rows of a step: as wanted, or fewer where there are fewer, the same number for each process.

        Raises TrainingError where the rows cannot be divided so."""
        size = min(wanted, rows // self.size * self.size)
        if size < self.size or size % self.size:
            came = f"{wanted} of {rows} rows"
            raise TrainingError(f"batch_size: expected a multiple of the {self.size} processes, got {came}")
        return size

    def part(self, order_SB: Tensor) -> Tensor:
        """This process's rows (S, B / size) of each step."""
        return order_SB.view(len(order_SB), self.size, -1)[:, self.rank]

    def average(self, parameters: Iterable[Parameter], loss: Tensor) -> Tensor:
        """The mean of all processes' losses; their mean gradients are set.

        In one message: the loss of a step is never read on its own."""
        if self.size == 1:
            return loss
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), loss.detach().view(1)])
        dist.all_reduce(flat)
        flat /= self.size
        *means, mean = torch.split(flat, [*(gradient.numel() for gradient in gradients), 1])
        for gradient, found in zip(gradients, means, strict=True):
            gradient.copy_(found.view_as(gradient))
        whole: Tensor = mean[0]
        return whole

    def agree(self, wishes: Sequence[bool]) -> list[bool]:
        """Which of the wishes any process has. By the processors, so that no GPU is waited for."""
        if self.size == 1:
            return list(wishes)
        said = torch.tensor(wishes, dtype=torch.uint8)
        dist.all_reduce(said, dist.ReduceOp.MAX, group=self.talk)
        return [bool(wish) for wish in said]

    def follow_first(self, figures: Sequence[float]) -> list[float]:
        """The first process's figures."""
        if self.size == 1:
            return list(figures)
        said = torch.tensor(figures, dtype=torch.float64)
        dist.broadcast(said, 0, group=self.talk)
        return said.tolist()

    def gather(self, value: Tensor) -> list[Tensor]:
        """The tensors of all processes, which are alike in shape and lie on the processor."""
        if self.size == 1:
            return [value]
        found = [torch.empty_like(value) for _ in range(self.size)]
        dist.all_gather(found, value, group=self.talk)
        return found


ALONE = Processes()


def is_started() -> bool:
    """Whether torchrun has started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextmanager
def joined() -> Iterator[Processes]:
    """This process among those that torchrun has started; alone without torchrun."""
    if not is_started():
        yield ALONE
        return
    rank, size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if has_gpu else "gloo", timeout=PATIENCE)
    talk = dist.new_group(backend="gloo", timeout=PATIENCE)
    local_size = int(os.environ["LOCAL_WORLD_SIZE"])
    try:
        yield Processes(rank=rank, size=size, local_rank=local, local_size=local_size, talk=talk)
    finally:
        dist.destroy_process_group()
