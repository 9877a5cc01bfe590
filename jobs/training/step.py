"""One step of training: forward and loss, gradients, update.

On a GPU the whole step of one process becomes one CUDA graph: a small network's kernels are over before Python has
launched the next one. What cannot be captured is computed call by call, and the log says why; so is, without a word,
every step on CPU and every one of several processes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from jobs.training.loader import Batch
from jobs.training.loss import Loss
from jobs.training.processes import Processes
from millrace.workload.training import Precision

WARM = 3
"""Steps before the capture: kernels are chosen and the optimiser's state is made, neither of which can be captured."""

Compute = Callable[[Batch], Tensor]


class Capture(Protocol):
    """Makes one replayable piece of a step."""

    def warm(self, compute: Compute, batch: Batch) -> Tensor:
        """The result of a step that is computed as it will be captured."""
        ...

    def record(self, compute: Compute, batch: Batch) -> Compute:
        """The step as one piece for batches of this shape; computes nothing. Raises RuntimeError where it cannot be."""
        ...


class CudaGraph:
    """A step as a CUDA graph: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs"""

    def __init__(self) -> None:
        self._beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def warm(self, compute: Compute, batch: Batch) -> Tensor:
        self._beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._beside):
            found = compute(batch)
        torch.cuda.current_stream().wait_stream(self._beside)
        return found

    def record(self, compute: Compute, batch: Batch) -> Compute:
        # A graph reads and writes where it did when it was captured: each batch is copied to that place.
        place = Batch(
            tensors={name: value.clone() for name, value in batch.tensors.items()}, target_B=batch.target_B.clone()
        )
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = compute(place)

        def replay(given: Batch) -> Tensor:
            for name, value in given.tensors.items():
                place.tensors[name].copy_(value)
            place.target_B.copy_(given.target_B)
            graph.replay()
            return found

        return replay


class Step:
    """Called with each batch; gives the loss, which stays on the device."""

    def __init__(
        self,
        network: nn.Module,
        objective: Loss,
        optimiser: Optimizer,
        together: Processes,
        *,
        precision: Precision = "float32",
        is_compiled: bool = False,
        capture: Capture | None = None,
    ) -> None:
        """`capture` is None on CPU and with several processes, whose messages are not captured."""
        self._network, self._objective, self._optimiser, self._together = network, objective, optimiser, together
        self._forward: Callable[..., Any] = torch.compile(network) if is_compiled else network
        self._precision, self._capture = precision, capture
        self._replay: Compute | None = None
        self._warmed = 0

    def __call__(self, batch: Batch) -> Tensor:
        if self._replay is not None:
            return self._replay(batch)
        if self._capture is None:
            return self._compute(batch)
        if self._warmed < WARM:
            self._warmed += 1
            return self._capture.warm(self._compute, batch)
        try:
            self._replay = self._capture.record(self._compute, batch)
        except RuntimeError as error:
            # Nothing was computed: the step is done now, call by call, as all that follow.
            print(f"the step is not captured: {str(error).splitlines()[0]}", flush=True)
            self._capture = None
            self._optimiser.zero_grad()
            return self._compute(batch)
        return self._replay(batch)

    def _compute(self, batch: Batch) -> Tensor:
        with self._autocast(batch):
            loss = self._objective.training(self._raw(batch), batch.target_B)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        loss = self._together.average(self._network.parameters(), loss)
        self._optimiser.step()
        return loss.detach()

    def _raw(self, batch: Batch) -> Tensor:
        """The forward pass, compiled where the compiler takes the network."""
        if self._forward is not self._network:
            try:
                found: Tensor = self._forward(**batch.tensors)
                return found
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                print(f"the network is not compiled: {str(error).splitlines()[0]}", flush=True)
                self._forward = self._network
        plain: Tensor = self._network(**batch.tensors)
        return plain

    def _autocast(self, batch: Batch) -> AbstractContextManager[Any]:
        """On a GPU in the declared precision; the cache of converted weights would be one of the captured step."""
        if self._precision == "float32" or batch.target_B.device.type != "cuda":
            return nullcontext()
        return torch.autocast("cuda", torch.bfloat16, cache_enabled=False)


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """The learning rate of the next step; in a captured step it is a tensor, which keeps its place."""
    group = optimiser.param_groups[0]
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate
