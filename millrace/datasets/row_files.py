"""Tables in files that are mapped into memory, not read: their pages stay in memory as long as it has room."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ROWS, PIECE_BYTES = 65_536, 2**24
"""The most rows that are held in memory at once, and the most bytes of them."""


@dataclass(frozen=True, kw_only=True)
class RowFiles:
    """Makes files without a name in `folder`: nobody uploads them, and they are gone with the process."""

    folder: Path

    def write(self, pieces: Iterable[pa.Table]) -> pa.Table:
        """The pieces, one after the other, as one table with its cells in a file. There is at least one piece."""
        with self._file() as file:
            writer = None
            for piece in pieces:
                writer = writer or pa.ipc.new_file(file, piece.schema)
                writer.write_table(piece.combine_chunks())
            assert writer is not None
            writer.close()
            file.flush()
            return pa.ipc.open_file(pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))).read_all()

    def in_order(self, table: pa.Table, rows_N: npt.NDArray[np.int64]) -> pa.Table:
        """The rows of `table` with the numbers `rows_N`, in this order, as a table with its cells in a file."""
        if not len(rows_N):
            return table.slice(0, 0)
        size, batches = rows_at_once(table.nbytes, table.num_rows), table.to_batches()
        return self.write(_taken(batches, rows_N[at : at + size]) for at in range(0, len(rows_N), size))

    def write_arrays(self, pieces: Iterable[Mapping[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
        """The arrays of the pieces, one after the other, each with its cells in a file. There is at least one piece."""
        with ExitStack() as stack:
            files: dict[str, Any] = {}
            rows = 0
            for piece in pieces:
                files = files or {name: stack.enter_context(self._file()) for name in piece}
                for name, values in piece.items():
                    values.tofile(files[name])
                rows += len(next(iter(piece.values())))
            for file in files.values():
                file.flush()
            return {
                name: np.memmap(file, piece[name].dtype, "r+", shape=(rows, *piece[name].shape[1:]))
                for name, file in files.items()
            }

    def _file(self) -> IO[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=self.folder)


def slices(table: pa.Table) -> Iterator[pa.Table]:
    """The table in slices that fit into memory, in order; one empty slice if it has no rows."""
    size = rows_at_once(table.nbytes, table.num_rows)
    for at in range(0, max(1, table.num_rows), size):
        yield table.slice(at, size)


def rows_at_once(size: int, rows: int) -> int:
    """How many rows may be held in memory at once, of a table of `size` bytes and `rows` rows."""
    return max(1, min(ROWS, PIECE_BYTES * rows // max(1, size)))


def _taken(batches: Sequence[pa.RecordBatch], rows_B: npt.NDArray[np.int64]) -> pa.Table:
    """The rows with the numbers `rows_B`, in this order.

    They are taken batch by batch: Arrow's own `take` on a table would first copy all batches of a column into one."""
    # The batch of each row; then the rows in the order of their batches, in which they are taken.
    starts = np.cumsum([0, *(len(batch) for batch in batches)])
    batch_B = np.searchsorted(starts, rows_B, side="right") - 1
    by_batch_B = np.argsort(batch_B, kind="stable")
    found = []
    for number in np.unique(batch_B):
        mine = by_batch_B[batch_B[by_batch_B] == number]
        found.append(batches[number].take(pa.array(rows_B[mine] - starts[number])))
    # The inverse order brings the taken rows back into the order that was asked for.
    back_B = np.empty_like(by_batch_B)
    back_B[by_batch_B] = np.arange(len(by_batch_B))
    return pa.Table.from_batches(found).combine_chunks().take(pa.array(back_B))
