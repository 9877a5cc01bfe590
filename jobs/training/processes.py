"""The processes that train one model together: each computes its part of every step's rows.

Every process holds all rows and the same weights. Of the B rows of a step each takes B / `size`, and then the gradients
are averaged over all processes. The mean of equal parts is the mean of the whole step. So several processes train as
one process would, up to the order of sums.

Torch's DistributedDataParallel is not used. It rearranges its buckets after the first step, so a run that was resumed
would sum in another order than one that was not.

Axes: B rows of a step, S steps of an epoch.
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
"""A process that waits longer for the others has lost them. They also wait while the first one saves a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process's place among the processes. The defaults are those of a process that is alone."""

    rank: int = 0
    """The number of this process, 0 to `size` - 1."""
    size: int = 1
    """How many processes train together, on all machines."""
    local_rank: int = 0
    """The number of this process on its machine, which is also that of its GPU."""
    local_size: int = 1
    """How many of the processes are on this machine."""
    talk: dist.ProcessGroup | None = None
    """The group for messages between processors, which need no GPU; None for a process that is alone."""

    @property
    def is_first(self) -> bool:
        """Whether this process judges epochs and writes checkpoints, figures and the artefact."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """The GPU of this process, or the processor on a machine without GPUs."""
        return torch.device("cuda", self.local_rank) if torch.cuda.is_available() else torch.device("cpu")

    @property
    def threads(self) -> int:
        """This process's share of the machine's processors, at least 1."""
        return max(1, (os.cpu_count() or 1) // self.local_size)

    def step_size(self, wanted: int, rows: int) -> int:
        """The rows of a step of all processes: `wanted`, or fewer if there are fewer `rows`.

        It is a multiple of `size`, since each process takes the same number. Raises TrainingError if `wanted` is no
        such multiple, or if there are fewer rows than processes."""
        # Of fewer rows than wanted, the largest multiple of the number of processes.
        size = min(wanted, rows // self.size * self.size)
        if size < self.size or size % self.size:
            came = f"{wanted} of {rows} rows"
            raise TrainingError(f"batch_size: expected a multiple of the {self.size} processes, got {came}")
        return size

    def part(self, order_SB: Tensor) -> Tensor:
        """This process's part (S, B / size) of the rows of each step."""
        return order_SB.view(len(order_SB), self.size, -1)[:, self.rank]

    def average(self, parameters: Iterable[Parameter], loss: Tensor) -> Tensor:
        """Set the gradients to the mean of all processes' gradients, and return the mean of their losses."""
        if self.size == 1:
            return loss
        # One flat tensor makes one message, with the loss behind the gradients. The gradients are always in the order
        # of the parameters, so the sums are the same after a resume.
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), loss.detach().view(1)])
        dist.all_reduce(flat)
        flat /= self.size
        *means, mean = torch.split(flat, [*(gradient.numel() for gradient in gradients), 1])
        for gradient, found in zip(gradients, means, strict=True):
            gradient.copy_(found.view_as(gradient))
        return mean[0]

    def agree(self, wishes: Sequence[bool]) -> list[bool]:
        """For each wish whether any process has it. The processors exchange this, so that nobody waits for a GPU."""
        if self.size == 1:
            return list(wishes)
        said = torch.tensor(wishes, dtype=torch.uint8)
        dist.all_reduce(said, dist.ReduceOp.MAX, group=self.talk)
        return [bool(wish) for wish in said]

    def follow_first(self, figures: Sequence[float]) -> list[float]:
        """The figures of the first process, whatever this one has."""
        if self.size == 1:
            return list(figures)
        said = torch.tensor(figures, dtype=torch.float64)
        dist.broadcast(said, 0, group=self.talk)
        return said.tolist()

    def gather(self, value: Tensor) -> list[Tensor]:
        """The tensors of all processes, by rank. They have the same shape and lie on the processor."""
        if self.size == 1:
            return [value]
        found = [torch.empty_like(value) for _ in range(self.size)]
        dist.all_gather(found, value, group=self.talk)
        return found


ALONE = Processes()
"""The place of a process that trains alone."""


def is_started() -> bool:
    """Whether torchrun has started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextmanager
def joined() -> Iterator[Processes]:
    """This process's place among those that torchrun has started; ALONE without torchrun.

    The processes are connected while the block runs."""
    if not is_started():
        yield ALONE
        return
    rank, size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.set_device(local)
    # Two groups: gradients go between GPUs by NCCL where there are GPUs, all else between processors by gloo.
    dist.init_process_group("nccl" if has_gpu else "gloo", timeout=PATIENCE)
    talk = dist.new_group(backend="gloo", timeout=PATIENCE)
    local_size = int(os.environ["LOCAL_WORLD_SIZE"])
    try:
        yield Processes(rank=rank, size=size, local_rank=local, local_size=local_size, talk=talk)
    finally:
        dist.destroy_process_group()
