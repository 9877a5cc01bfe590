"""Finds the rows of a drop that share a key with another one, in memory that does not grow with their number.

A task writes the keys that it has seen as runs, sorted by a hash. Another one compares a part of all hashes: it reads
that part of each run, and writes which rows share a key.

keys-0-0   |  bucket 0  | bucket 1 |  bucket 2  |       the first run of piece 0
keys-1-0   | bucket 0 |  bucket 1  |   bucket 2   |
           └──────── same-0 ──────┘└── same-1 ──┘

A row's place is its line times the number of the contract's keys, plus the place of the key: of two keys, the second
one of line 7 has 15. It is below that number for a row that the table holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow

from millrace.contract.deduplicate import integers, key_of
from millrace.contract.schema import LINE
from millrace.datasets.bulk.pieces import BulkJob, job_of
from millrace.datasets.tables import with_former
from millrace.messages.bulk import BulkPlan
from millrace.packing import packed

Numbers = npt.NDArray[np.uint64]
Runs = Mapping[str, Numbers]
"""Files of staging by name, each with the number of the rows before each bucket, and that of all."""
ROW_BYTES = 64
"""A run has a row for so many bytes of a piece, and about as many rows are compared at once: a million for 64 MiB.

Each takes 24 bytes, three numbers: two of its key, its place. A bucket may have more rows: those with one key."""
BUCKETS = 1024


class RunWriter:
    """Writes the keys of rows into runs of staging. A task has one, with a `name` of its own.

    All tasks of a job have the same `secret`, so that equal keys have equal hashes and nobody can make other ones."""

    def __init__(self, job: BulkJob, name: str, secret: bytes) -> None:
        self._runs: dict[str, Numbers] = {}
        self._job, self._name, self._secret = job, name, secret
        self._kept: list[Numbers] = []

    def add(self, rows: pa.Table, key: int) -> None:
        """The rows' keys, but those with a missing cell. Rows without lines are those that the table holds."""
        columns, schema = self._job.judged.keys[key], self._job.iceberg.schema()
        # The table's types may be wider than the contract's: a number then has another text.
        kinds = schema_to_pyarrow(schema.select(*columns), include_field_ids=False)
        values = key_of(with_former(rows, kinds), columns)
        kept = np.full((len(values) - values.null_count, 3), key, np.uint64)
        for place, half in enumerate(integers(values.drop_null(), self._secret + bytes([key]))):
            kept[:, place] = half.view(np.uint64)
        # An odd factor keeps different numbers different, and spreads them over the buckets (multiply-shift).
        kept[:, 0] *= np.uint64(int.from_bytes(self._secret[:8]) | 1)
        if LINE in rows.column_names:
            lines = rows.column(LINE).to_numpy()[values.is_valid().to_numpy(zero_copy_only=False)]
            kept[:, 2] += lines.astype(np.uint64) * np.uint64(len(self._job.judged.keys))
        self._kept.append(kept)
        if sum(map(len, self._kept)) * ROW_BYTES >= self._job.plan.range_bytes:
            self.close()

    def close(self) -> Runs:
        """All rows are in staging when this returns."""
        if self._kept:
            rows = np.concatenate(self._kept)
            rows = rows[np.argsort(rows[:, 0])]
            firsts = np.arange(BUCKETS, dtype=np.uint64) * np.uint64(2**64 // BUCKETS)
            name = f"keys-{self._name}-{len(self._runs)}"
            self._runs[name] = np.append(np.searchsorted(rows[:, 0], firsts), len(rows)).astype(np.uint64)
            self._job.put_array(rows, name)
            self._kept.clear()
        return self._runs


def partitions(plan: BulkPlan, runs: Runs) -> Iterator[tuple[str, dict[str, tuple[int, int]]]]:
    """The name of each part of all buckets, and where its rows begin and end in each run."""
    sizes = np.diff(sum(runs.values(), np.zeros(BUCKETS + 1, np.uint64))).tolist()
    for number, some in enumerate(packed(range(BUCKETS), (sizes.__getitem__, plan.range_bytes // ROW_BYTES))):
        yield f"same-{number}", {name: (int(run[some[0]]), int(run[some[-1] + 1])) for name, run in runs.items()}


def compare(plan: BulkPlan, ends: Numbers, partition: tuple[str, Mapping[str, tuple[int, int]]]) -> tuple[str, Numbers]:
    """Write the places of the rows that share a key, each with the lowest place of that key, and tell of them as Runs.

    `ends` are the places behind the rows of each piece."""
    job, (name, slices) = job_of(plan), partition
    parts = (job.read_staged(run, 24 * start, 24 * end) for run, (start, end) in slices.items())
    rows = np.frombuffer(b"".join(parts), np.uint64).reshape(-1, 3)
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    is_same = np.diff(rows[:, 0]) == 0
    rows = rows[np.append(is_same, False) | np.append(False, is_same)] if len(rows) else rows
    # Half a hash is equal for few rows, but for those that share a key.
    rows = rows[np.lexsort(rows.T[::-1])]
    starts = np.flatnonzero(np.diff(rows[:, :2], axis=0, prepend=~rows[:1, :2]).any(axis=1))
    sizes = np.diff(starts, append=len(rows))
    shared = np.column_stack([rows[:, 2], np.repeat(rows[starts, 2], sizes)])
    shared = shared[np.repeat(sizes > 1, sizes) & (shared[:, 0] >= len(job.judged.keys))]
    shared = shared[np.argsort(shared[:, 0])]
    job.put_array(shared, name)
    return name, np.append(0, np.searchsorted(shared[:, 0], ends)).astype(np.uint64)


def repeated(job: BulkJob, shared: Sequence[tuple[str, Numbers]], pieces: int) -> Iterator[Numbers]:
    """For each piece the places of the rows to be refused, each with the place of the first row with the key.

    A row that is refused for one key does not use up another: the rows are gone through in their order."""
    taken: dict[int, int] = {}
    keys = len(job.judged.keys)
    with TemporaryDirectory() as folder:
        files = [(job.get(name, Path(folder, name)), ends.tolist()) for name, ends in shared if ends[-1]]
        for piece in range(pieces):
            parts = [np.empty((0, 2), np.uint64)]
            for path, ends in files:
                start, end = ends[piece : piece + 2]
                parts.append(np.fromfile(path, np.uint64, 2 * (end - start), offset=16 * start).reshape(-1, 2))
            rows = np.concatenate(parts)
            rows = rows[np.argsort(rows[:, 0])]
            yield rows[rows[:, 0] != rows[:, 1]] if keys == 1 else _refused(rows, keys, taken)


def _refused(rows: Numbers, keys: int, taken: dict[int, int]) -> Numbers:
    """As `repeated`, of one piece. `taken` has the accepted row of each key of the pieces before, and gets others."""
    refused = []
    for _, own in groupby(rows.tolist(), lambda row: row[0] // keys):
        same = list(own)
        held = (row for row in same if row[1] < keys)
        before = ([row[0], taken[row[1]]] for row in same if row[1] in taken)
        if clash := next(held, None) or next(before, None):
            refused.append(clash)
        else:
            taken |= {first: place for place, first in same}
    return np.array(refused, np.uint64).reshape(-1, 2)
