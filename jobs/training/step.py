"""One step of training: forward and loss, gradients, update.

On a GPU, a process that trains alone captures the whole step as one CUDA graph: each kernel of a small network is done
before Python has launched the next one. A step that cannot be captured is computed call by call, and the log says why.
On CPU and with several processes every step is computed call by call.

    batch         1, 2, 3                       4                  5, 6, …
    capture       computes as it will capture   records, replays   replays
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from millrace.jobs.training.loader import Batch
from millrace.jobs.training.loss import Loss
from millrace.jobs.training.processes import Processes
from millrace.workload.training import Precision

WARM = 3
"""So many steps come before the capture. In them kernels are chosen and the optimiser makes its state, neither of which
can be captured."""

Compute = Callable[[Batch], Tensor]
"""Takes a step with a batch and returns its loss."""


class CudaGraph:
    """A step as one piece that can be replayed: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs"""

    def __init__(self) -> None:
        self._beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def warm(self, compute: Compute, batch: Batch) -> Tensor:
        """Compute a step in the way in which it will be captured, and return its loss."""
        # On a stream of its own, as a capture is. Each stream waits for what the other has begun.
        self._beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._beside):
            found = compute(batch)
        torch.cuda.current_stream().wait_stream(self._beside)
        return found

    def record(self, compute: Compute, batch: Batch) -> Compute:
        """The step as one piece for batches of this shape. Nothing is computed.

        Raises RuntimeError if the step cannot be captured."""
        # A graph reads and writes the memory of its capture, so each batch is copied to the same place. `found` is such
        # a place too: each replay overwrites the loss of the one before.
        place = batch.each(torch.clone)
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
    """Takes a step each time it is called with a batch, and returns the loss, which stays on the device."""

    def __init__(
        self,
        network: nn.Module,
        objective: Loss,
        optimiser: Optimizer,
        together: Processes,
        *,
        precision: Precision = "float32",
        is_compiled: bool = False,
        capture: CudaGraph | None = None,
    ) -> None:
        """`capture` is None on CPU, and with several processes since their messages are not captured."""
        self._network, self._objective, self._optimiser, self._together = network, objective, optimiser, together
        self._forward: Callable[..., Any] = torch.compile(network) if is_compiled else network
        self._precision, self._capture = precision, capture
        self._replay: Compute | None = None
        self._warmed = 0

    def __call__(self, batch: Batch) -> Tensor:
        # In turn: WARM steps, the capture, then replays. Without a capture, or once it has failed, call by call.
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
            # Nothing was computed: this step is taken now, call by call, and so are all that follow.
            print(f"the step is not captured: {str(error).splitlines()[0]}", flush=True)
            self._capture = None
            self._optimiser.zero_grad()
            return self._compute(batch)
        # Recording computed nothing either: the first replay takes the step of this batch.
        return self._replay(batch)

    def _compute(self, batch: Batch) -> Tensor:
        """Take the step: forward and loss, gradients, their mean over all processes, update."""
        with self._autocast(batch):
            loss = self._objective.training(self._raw(batch), batch.target_B)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        loss = self._together.average(self._network.parameters(), loss)
        self._optimiser.step()
        return loss.detach()

    def _raw(self, batch: Batch) -> Tensor:
        """The forward pass, compiled if the compiler takes the network."""
        # The compiler works at the first call and raises there. Then the network is called as it is from now on.
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
        """The declared precision on a GPU; nothing changes on CPU.

        Converted weights are not cached: the cache would be part of the captured step."""
        if self._precision == "float32" or batch.target_B.device.type != "cuda":
            return nullcontext()
        return torch.autocast("cuda", torch.bfloat16, cache_enabled=False)


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """Set the learning rate of the next step. For a captured step it is a tensor, which keeps its place in memory."""
    group = optimiser.param_groups[0]
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate
