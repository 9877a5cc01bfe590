"""The training loop's source of batches: all rows on the device, or in the machine's memory or in files where they do
not fit.

N rows, B rows per step, S steps per epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

SHARE = 0.6
"""Of a GPU's free memory that rows may take; the rest is for weights, gradients and activations."""
PIECE, PIECE_BYTES = 8192, 2**20
"""Rows that are judged at once, and their inputs at most: a network's layers take some hundred times the memory of what
they are given, so that of images and sequences few rows go together."""

AHEAD = 2
"""Batches that are gathered before they are asked for."""


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
    def bytes(self) -> int:
        return sum(value.nbytes for value in (*self.tensors.values(), self.target_N))

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

    def batches(self, order_SB: Tensor) -> Iterator[Batch]:
        """The batches of these rows, one after the other."""
        return (self.batch(rows_B) for rows_B in order_SB)

    def pieces(self) -> Iterator[Batch]:
        """All rows in their order, so many at once as a network has room for."""
        size = max(1, min(PIECE, len(self) * PIECE_BYTES // max(self.bytes, 1)))
        for at in range(0, len(self), size):
            yield self._piece(slice(at, at + size))

    def _piece(self, rows: slice) -> Batch:
        return Batch(tensors={name: value[rows] for name, value in self.tensors.items()}, target_B=self.target_N[rows])


@dataclass(frozen=True, kw_only=True)
class Streamed(Resident):
    """All rows in the machine's memory or in files; the next batch is on its way to the device while one is computed,
    and those after it are gathered."""

    device: torch.device

    def batches(self, order_SB: Tensor) -> Iterator[Batch]:
        beside = _stream(self.device)
        waiting: Batch | None = None
        for batch in self._gathered(order_SB):
            coming = self._sent(batch, beside)
            if waiting is not None:
                yield self._arrived(waiting, beside)
            waiting = coming
        if waiting is not None:
            yield self._arrived(waiting, beside)

    def _gathered(self, order_SB: Tensor) -> Iterator[Batch]:
        # A thread waits for the pages of a file. It pins no memory: that would end a capture of the step.
        with ThreadPoolExecutor(1) as thread:
            coming: deque[Future[Batch]] = deque()
            for rows_B in order_SB:
                coming.append(thread.submit(self.batch, rows_B))
                if len(coming) > AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def _piece(self, rows: slice) -> Batch:
        return self._sent(super()._piece(rows), None)

    def _sent(self, batch: Batch, beside: torch.cuda.Stream | None) -> Batch:
        if beside is None:
            return _moved(batch, self.device)
        # From pinned memory the copy needs no processor; on a stream of its own it does not wait for the step.
        with torch.cuda.stream(beside):
            return _moved(batch, self.device, is_pinned=True)

    def _arrived(self, batch: Batch, beside: torch.cuda.Stream | None) -> Batch:
        """The batch once its copy is done; its memory is not reused before the step has read it."""
        if beside is not None:
            present = torch.cuda.current_stream(self.device)
            present.wait_stream(beside)
            for value in (*batch.tensors.values(), batch.target_B):
                value.record_stream(present)
        return batch


def _stream(device: torch.device) -> torch.cuda.Stream | None:
    """One for copies; a processor has none."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


def _moved(batch: Batch, device: torch.device, *, is_pinned: bool = False) -> Batch:
    def move(value: Tensor) -> Tensor:
        return (value.pin_memory() if is_pinned else value).to(device, non_blocking=is_pinned)

    tensors = {name: move(value) for name, value in batch.tensors.items()}
    return Batch(tensors=tensors, target_B=move(batch.target_B))


def place(rows: Resident, device: torch.device, *, room: int | None = None) -> Resident:
    """The rows on the device where they fit into `room` bytes, else streamed to it; a processor has room for all that
    is in its memory already."""
    if room is None and device.type == "cuda":
        room = int(SHARE * torch.cuda.mem_get_info(device)[0])
    if room is None or rows.bytes <= room:
        # What is free may be in pieces, or another program's by now.
        with suppress(torch.OutOfMemoryError):
            return rows.to(device)
    has = "no room for them" if room is None else f"room for {room / 1e9:.1f}"
    print(f"{rows.bytes / 1e9:.1f} GB of rows are streamed to the device, which has {has}", flush=True)
    return Streamed(tensors=rows.tensors, target_N=rows.target_N, device=device)
