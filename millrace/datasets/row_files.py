"""Tables in files that are mapped, not read: their pages lie in the machine's memory as long as there is room."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

ROWS, PIECE_BYTES = 65_536, 2**24
"""Rows that are held in memory at once, and their bytes at most."""


@dataclass(frozen=True, kw_only=True)
class RowFiles:
    """Files without a name in `folder`: nobody uploads them, and they are gone with the process."""

    folder: Path

    def write(self, pieces: Iterable[pa.Table]) -> pa.Table:
        """The pieces, at least one, one after the other, as a table whose cells lie in a file."""
        import pyarrow as pa

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
        """These rows of `table`, in this order."""
        if not len(rows_N):
            return table.slice(0, 0)
        size, batches = rows_at_once(table.nbytes, table.num_rows), table.to_batches()
        return self.write(_taken(batches, rows_N[at : at + size]) for at in range(0, len(rows_N), size))

    def write_arrays(self, pieces: Iterable[Mapping[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
        """The pieces, at least one, one after the other, as arrays of which each lies in a file."""
        import numpy as np

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
    """All rows in their order, so many at once as are held in memory; one without rows where there is none."""
    size = rows_at_once(table.nbytes, table.num_rows)
    for at in range(0, max(1, table.num_rows), size):
        yield table.slice(at, size)


def rows_at_once(size: int, rows: int) -> int:
    """Of a table of so many bytes and rows."""
    return max(1, min(ROWS, PIECE_BYTES * rows // max(1, size)))


def _taken(batches: Sequence[pa.RecordBatch], rows_B: npt.NDArray[np.int64]) -> pa.Table:
    """Rows of a table by batch: Arrow's own `take` copies all batches of a column into one first."""
    import numpy as np
    import pyarrow as pa

    starts = np.cumsum([0, *(len(batch) for batch in batches)])
    batch_B = np.searchsorted(starts, rows_B, side="right") - 1
    by_batch_B = np.argsort(batch_B, kind="stable")
    found = []
    for number in np.unique(batch_B):
        mine = by_batch_B[batch_B[by_batch_B] == number]
        found.append(batches[number].take(pa.array(rows_B[mine] - starts[number])))
    back_B = np.empty_like(by_batch_B)
    back_B[by_batch_B] = np.arange(len(by_batch_B))
    return pa.Table.from_batches(found).combine_chunks().take(pa.array(back_B))
