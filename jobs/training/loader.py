"""The training loop's source of batches.

All rows lie on the device if they fit. Otherwise they lie in the machine's memory or in files, and each batch is sent
to the device before its step.

Axes: N rows, B rows of a step, S steps of an epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

SHARE = 0.6
"""The share of a GPU's free memory that rows may take. The rest is for weights, gradients and activations."""
PIECE, PIECE_BYTES = 8192, 2**20
"""The most rows that are judged at once, and the most bytes of their inputs. A network's layers take some hundred times
the memory of their inputs, so only few rows with images or sequences go together."""

AHEAD = 2
"""So many batches are gathered before the loop wants them."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The rows of one step: the signature's tensors (B, …) and the targets (B)."""

    tensors: Mapping[str, Tensor]
    target_B: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with what `change` makes of each of its tensors and of its targets."""
        tensors = {name: change(value) for name, value in self.tensors.items()}
        return Batch(tensors=tensors, target_B=change(self.target_B))


@dataclass(frozen=True, kw_only=True)
class Resident:
    """All rows, together on one device."""

    tensors: Mapping[str, Tensor]
    """The signature's tensors (N, …)."""
    target_N: Tensor

    def __len__(self) -> int:
        return len(self.target_N)

    @property
    def bytes(self) -> int:
        """What tensors and targets take."""
        return sum(value.nbytes for value in (*self.tensors.values(), self.target_N))

    def to(self, device: torch.device) -> Resident:
        moved = _moved(self.batch(slice(None)), device)
        return Resident(tensors=moved.tensors, target_N=moved.target_B)

    def order(self, *, seed: int, size: int) -> Tensor:
        """The places (S, B) of the rows of each step of an epoch, shuffled by `seed`.

        The rows that fill no whole step are left out; they differ from seed to seed."""
        # A generator on the CPU: the order is the same on every device and leaves torch's own random state alone.
        rows_N = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        steps = len(self) // size
        return rows_N[: steps * size].view(steps, size).to(self.target_N.device)

    def batch(self, rows: Tensor | slice) -> Batch:
        return Batch(tensors={name: value[rows] for name, value in self.tensors.items()}, target_B=self.target_N[rows])

    def batches(self, order_SB: Tensor) -> Iterator[Batch]:
        """The batches with these rows, one for each step."""
        return (self.batch(rows_B) for rows_B in order_SB)

    def spread(self, most: int) -> Resident:
        """Rows evenly spread over all of them, about `most` at most."""
        some = self.batch(slice(None, None, 1 + (len(self) - 1) // most))
        return Resident(tensors=some.tensors, target_N=some.target_B)

    def pieces(self) -> Iterator[Batch]:
        """All rows in their order, in pieces that a network has room for: PIECE rows and PIECE_BYTES at most."""
        size = max(1, min(PIECE, len(self) * PIECE_BYTES // max(self.bytes, 1)))
        for at in range(0, len(self), size):
            yield self.batch(slice(at, at + size))


@dataclass(frozen=True, kw_only=True)
class Streamed(Resident):
    """All rows in the machine's memory or in files, from which batches are sent to `device`.

    While step k is computed, batch k + 1 is copied to the device, and a thread gathers the batches after it."""

    device: torch.device

    def batches(self, order_SB: Tensor) -> Iterator[Batch]:
        beside = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None  # type: ignore[no-untyped-call]
        # `coming` is sent before `waiting` is handed out: the copy of the one goes on during the step of the other.
        waiting: Batch | None = None
        for batch in self._gathered(order_SB):
            coming = self._sent(batch, beside)
            if waiting is not None:
                yield self._arrived(waiting, beside)
            waiting = coming
        if waiting is not None:
            yield self._arrived(waiting, beside)

    def _gathered(self, order_SB: Tensor) -> Iterator[Batch]:
        """The batches in order, each gathered by a thread AHEAD of its use."""
        # The thread waits for the pages of a file. It pins no memory: that would end a capture of the step.
        with ThreadPoolExecutor(1) as thread:
            coming: deque[Future[Batch]] = deque()
            for rows_B in order_SB:
                coming.append(thread.submit(self.batch, rows_B))
                if len(coming) > AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def pieces(self) -> Iterator[Batch]:
        return (self._sent(piece, None) for piece in super().pieces())

    def _sent(self, batch: Batch, beside: torch.cuda.Stream | None) -> Batch:
        """The batch on the device. On the stream `beside` its copy has only begun."""
        if beside is None:
            return _moved(batch, self.device)
        # From pinned memory the copy needs no processor; on a stream of its own it does not wait for the step.
        with torch.cuda.stream(beside):
            return _moved(batch, self.device, is_pinned=True)

    def _arrived(self, batch: Batch, beside: torch.cuda.Stream | None) -> Batch:
        """The batch, which the step reads only when its copy is done."""
        if beside is not None:
            present = torch.cuda.current_stream(self.device)
            present.wait_stream(beside)
            # The memory belongs to the stream `beside`. Without this note torch could give it to the next copy before
            # the step has read it.
            for value in (*batch.tensors.values(), batch.target_B):
                value.record_stream(present)
        return batch


def _moved(batch: Batch, device: torch.device, *, is_pinned: bool = False) -> Batch:
    def move(value: Tensor) -> Tensor:
        return (value.pin_memory() if is_pinned else value).to(device, non_blocking=is_pinned)

    return batch.each(move)


def place(rows: Resident, device: torch.device, *, room: int | None = None) -> Resident:
    """The rows on the device if they fit into `room` bytes, else rows that are streamed to it.

    Without `room`, a GPU has room for SHARE of what is free, and a processor for all rows: they are in its memory
    already."""
    if room is None and device.type == "cuda":
        room = int(SHARE * torch.cuda.mem_get_info(device)[0])
    if room is None or rows.bytes <= room:
        # If the device is out of memory after all, the rows are streamed: what was free may lie in pieces, or be
        # another program's by now.
        with suppress(torch.OutOfMemoryError):
            return rows.to(device)
    has = "no room for them" if room is None else f"room for {room / 1e9:.1f}"
    print(f"{rows.bytes / 1e9:.1f} GB of rows are streamed to the device, which has {has}", flush=True)
    return Streamed(tensors=rows.tensors, target_N=rows.target_N, device=device)
