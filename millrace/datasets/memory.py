"""Estimates how much memory a job needs for the rows of a dataset version, by the footers of its files.

The whole version is read. At the peak a column is there four times: as read, joined, and sorted twice. Measured bytes
for each row, which are somewhat more than the estimate:

| job | rows | bytes a row | of columns | of histories | of tensors |
|---|---|---|---|---|---|
| training | a million of `electricity` | 317 | 68 | 0 | 28 |
| training | 66,000 of `air_quality` | 3,100 | 63 | 480 | 540 |
| evaluation | of `electricity` | 500 | | | |
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.datasets.read import PinnedFiles, names_by_id, read_columns
from millrace.datasets.row_files import RowFiles
from millrace.datasets.volume import FILES, TENSORS, tensor_bytes
from millrace.errors import SnapshotError, TrainingError
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.features.signature import Signature
from millrace.workload.declaration import Workload

COPIES = 4
"""How often columns and histories are in memory at the peak."""
PLACES_BYTES = 64
"""The bytes in memory of a row that lies in a file: numbers of eight bytes for its places in some orders."""
LIMIT = Path("/sys/fs/cgroup/memory.max")
"""The container's own limit: bytes, or the word `max`. https://docs.kernel.org/admin-guide/cgroup-v2.html#memory"""


@dataclass(frozen=True, kw_only=True)
class RowMemory:
    """The rows of a dataset version, and the bytes that they take at least."""

    rows: int
    bytes: int
    """The bytes in memory, if all rows are held there."""
    kept_bytes: int
    """The bytes in memory if the rows lie in files: keys, times, labels and places."""
    file_bytes: int
    """The bytes in files, if the rows lie there."""


def machine_memory(limit: Path = LIMIT) -> int:
    """The bytes that this process and all beside it may have: the machine's, or the container's limit if it is less."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    said = limit.read_text().strip() if limit.exists() else ""
    return min(physical, int(said)) if said.isdigit() else physical


def rows_of(folder: Path, schema: Path, workload: Workload, features: Features) -> RowMemory:
    """The memory for all rows of the dataset version below `folder`, by the footers of its files."""
    prediction = workload.prediction
    return row_memory(
        folder,
        schema,
        columns=(*encoders.columns(features), *prediction.key, prediction.event_time, *workload.split_columns),
        labels=prediction.label_columns,
        index=(*prediction.key, prediction.event_time),
        signature=encoders.signature(features),
    )


def check_memory(needed: RowMemory, *, memory: int | None = None) -> None:
    """Raise SnapshotError if the rows do not fit into `memory` bytes; without it, into the machine's memory."""
    memory = machine_memory() if memory is None else memory
    if needed.bytes <= memory:
        return
    expected = f"expected rows that fit into this machine's memory of {memory / 1e9:,.1f} GB"
    came = f"got {needed.rows:,} that take {needed.bytes / 1e9:,.1f} GB at least"
    row = f"{needed.bytes / needed.rows:,.0f} bytes a row"
    advice = "choose an instance with more memory, fewer features or a shorter history"
    raise SnapshotError(f"{expected}, {came}, {row}; {advice}")


def row_files(needed: RowMemory, folder: Path, *, processes: int, memory: int | None = None) -> RowFiles | None:
    """None if the rows fit into memory, else files on the volume of `folder`.

    Each of the machine's `processes` reads all rows. `memory` is in bytes; None means what the machine has. Raises
    TrainingError if neither the memory nor the volume has room."""
    memory = machine_memory() if memory is None else memory
    if needed.bytes * processes <= memory:
        return None
    # In files the cells lie on the volume; keys, times, labels and places stay in memory.
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    kept, written = needed.kept_bytes * processes, needed.file_bytes * processes
    came = f"{needed.rows:,} rows that take {_gb(needed.bytes * processes)} of memory"
    if kept > memory or written > free:
        fits = f"rows that fit into this machine's memory of {_gb(memory)}"
        else_fits = (
            f"whose keys, times and labels do with {_gb(kept)} and whose files of {_gb(written)} its volume holds"
        )
        each = f" in each of {processes} processes" if processes > 1 else ""
        row = f"{needed.bytes / needed.rows:,.0f} bytes a row{each}, with {_gb(free)} free on the volume"
        advice = "choose an instance with more memory or disk, fewer features or a shorter history"
        raise TrainingError(f"expected {fits}, or {else_fits}, got {came} at least, {row}; {advice}")
    print(f"{came} are mapped from files of {_gb(written)}: the machine has {_gb(memory)} of memory", flush=True)
    return RowFiles(folder=folder)


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"


def row_memory(
    folder: Path,
    schema: Path,
    *,
    columns: Sequence[str],
    labels: Sequence[str],
    index: Sequence[str],
    signature: Signature,
) -> RowMemory:
    """The memory for the rows of all Parquet files below `folder`.

    `index` are the columns of key and time. Text counts as its file holds it. Rows without a label become no tensors.
    Sizes of the signature that are not known before the rows are read count as nothing."""
    names = {column.field_id: column.name for column in read_columns(schema)}
    histories = tuple(spec for spec in signature if spec.kind == "history")
    rows, needed, kept, written = 0, 0, 0, 0
    # Four sums over the files: rows, bytes in memory, bytes in memory beside files, bytes in files.
    pinned = PinnedFiles.find(folder, schema)
    for path in pinned.rows:
        with pq.ParquetFile(path) as file:
            wanted = {*columns, *labels}
            # The columns' names in this file, each with its present name.
            own = {name: names[at] for at, name in names_by_id(file).items() if names.get(at) in wanted}
            count = file.metadata.num_rows
            # A row without a label may get one that is pinned beside it.
            known = count if pinned.labels else count - _missing(file, own, labels)
            sizes = {known_as: _column_bytes(file, name) for name, known_as in own.items()}
        whole, tensors = sum(sizes.values()) + count * tensor_bytes(histories), known * tensor_bytes(signature)
        rows += count
        needed += COPIES * whole + tensors
        kept += COPIES * sum(sizes.get(name, 0) for name in {*index, *labels}) + count * PLACES_BYTES
        written += FILES * whole + TENSORS * tensors
    return RowMemory(rows=rows, bytes=needed, kept_bytes=kept, file_bytes=written)


def _missing(file: pq.ParquetFile, own: Mapping[str, str], labels: Sequence[str]) -> int:
    """The number of rows without a label; with several labels, of the one that most rows lack."""
    nulls = dict.fromkeys((name for name, known in own.items() if known in labels), 0)
    for chunk in _chunks(file):
        if chunk.path_in_schema in nulls and chunk.statistics is not None and chunk.statistics.has_null_count:
            nulls[chunk.path_in_schema] += chunk.statistics.null_count
    return max(nulls.values(), default=0)


def _column_bytes(file: pq.ParquetFile, name: str) -> int:
    """The bytes of a column: numbers and times by their width, other cells as the file has them before compression."""
    width = _width(file.schema_arrow.field(name).type)
    if width is not None:
        return int(width * file.metadata.num_rows)
    return sum(chunk.total_uncompressed_size for chunk in _chunks(file) if chunk.path_in_schema.split(".")[0] == name)


def _width(kind: pa.DataType) -> float | None:
    """The bytes of a cell of this type, a fraction for booleans; None if cells differ in size."""
    try:
        return float(kind.bit_width / 8)
    except ValueError:  # of text, bytes and lists
        return None


def _chunks(file: pq.ParquetFile) -> list[pq.ColumnChunkMetaData]:
    metadata = file.metadata
    return [
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    ]
