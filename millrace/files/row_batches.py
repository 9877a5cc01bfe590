"""Unpacks a Parquet file into batches of limited size, in the process of `read_bounded`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millrace.contract.reasons import Reason
from millrace.errors import DropError
from millrace.files.parsed import Limits


@dataclass(frozen=True, kw_only=True)
class Footer:
    """What a file says of itself."""

    schema: pa.Schema
    rows: int
    row_groups: int
    first: int
    """The number of the first row that is read."""


def unpack(
    path: Path, names: Collection[str], limits: Limits, most_rows: int, groups: Sequence[int] | None
) -> Iterator[Footer | pa.Buffer]:
    """The footer; then the columns of these names in the row groups, or in all, each part as a stream of Arrow's IPC.

    A batch has about `limits.batch_bytes` and at most `most_rows` rows. Raises DropError `too_large` for cells that are
    too large, one by one or together, the errors of `unit_of_int96`, and those of pyarrow."""
    metadata = pq.read_metadata(path)
    schema = metadata.schema.to_arrow_schema()
    every = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    numbers = range(len(every)) if groups is None else groups
    first = 1 + sum(group.num_rows for group in every[: min(numbers, default=0)])
    yield Footer(schema=schema, rows=metadata.num_rows, row_groups=len(every), first=first)
    chunks = [every[number].column(place) for number in numbers for place in range(metadata.num_columns)]
    unpacked = sum(each.total_uncompressed_size for each in chunks if each.path_in_schema.split(".")[0] in names)
    if unpacked > limits.decoded_bytes:
        expected = f"{limits.decoded_bytes} bytes at most unpacked"
        raise DropError(Reason.TOO_LARGE, expected=expected, got=f"{unpacked}")
    read = {field.name: field.type for field in schema if field.name in names}
    most = {name: size for name, kind in read.items() if (size := _most_bytes(kind, limits))}
    held = sum(every[number].num_rows for number in numbers)
    rows = max(1, min(most_rows, limits.batch_bytes * held // max(1, unpacked)))
    for part in parts_of(_batches(path, metadata, list(read), rows, numbers), most, limits, first=first):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, part.schema) as stream:
            stream.write_batch(part)
        yield sink.getvalue()


def _batches(
    path: Path, metadata: Any, columns: list[str], rows: int, groups: Sequence[int]
) -> Iterator[pa.RecordBatch]:
    """The columns of the row groups in batches of at most `rows` rows, of fewer if there is no memory for so many.

    The footer says nothing of cells that are long in one place, or that repeat one word."""
    unit = unit_of_int96(path, metadata, columns, groups)
    done = 0
    while True:
        row = 0
        try:
            with pq.ParquetFile(
                path,
                metadata=metadata,
                memory_map=True,
                page_checksum_verification=True,
                coerce_int96_timestamp_unit=unit,
            ) as file:
                for batch in file.iter_batches(rows, row_groups=groups, columns=columns, use_threads=False):
                    row += batch.num_rows
                    if row > done:
                        yield batch.slice(max(0, batch.num_rows - (row - done)))
                        done = row
            return
        except MemoryError:
            if rows == 1:
                raise
            rows = max(1, rows // 32)


def unit_of_int96(path: Path, metadata: Any, read: Collection[str], groups: Sequence[int] | None = None) -> str:
    """The unit in which times in the old form INT96 are read: `us`, or `ns` if microseconds would cut digits off.

    `read` are the columns that are read, of the row `groups` or of all. INT96 holds nanoseconds of any day, Arrow only
    those of 1678 to 2262: in nanoseconds a time outside of these years would be read as another one. Raises DropError
    if both units are needed."""
    columns = (metadata.schema.column(place) for place in range(metadata.num_columns))
    # A field within a struct may have the name of a column, but not its path.
    old = {column.name for column in columns if column.physical_type == "INT96" and column.name == column.path}
    names = [name for name in read if name in old]
    if not names:
        return "us"
    # The columns are read twice, in both units, and compared batch by batch.
    whole, exact = (
        pq.ParquetFile(path, coerce_int96_timestamp_unit=unit).iter_batches(columns=names, row_groups=groups)
        for unit in ("us", "ns")
    )
    has_digits = is_far = False
    for batch, fine in zip(whole, exact, strict=True):
        for column, other in zip(batch.columns, fine.columns, strict=True):
            us, ns = (each.view(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False) for each in (column, other))
            has_digits |= bool((us * 1000 != ns).any())  # a far time overflows alike on both sides, at 2**64
            is_far |= bool((np.abs(us) > (2**63 - 1) // 1000).any())
    if has_digits and is_far:
        expected = "times of whole microseconds, or of 1678 to 2262"
        raise DropError(Reason.COLUMN_TYPE, expected=expected, got=f"others, as INT96, in {' or '.join(names)}")
    return "ns" if has_digits else "us"


def _most_bytes(kind: pa.DataType, limits: Limits) -> int:
    """The most bytes that a cell of this type may have; 0 for a type with cells of one size."""
    if is_text(plain(kind)):
        return limits.line_bytes
    return limits.cell_bytes if is_binary(plain(kind)) else 0


def parts_of(
    batches: Iterable[pa.RecordBatch], most: Mapping[str, int], limits: Limits, *, first: int
) -> Iterator[pa.RecordBatch]:
    """The batches without dictionaries, in parts of `limits.batch_bytes` or of one larger row.

    `first` is the number of the first row, `most` has the most bytes of a cell, by column. Raises DropError `too_large`
    for a larger cell, and if all cells together have more than `limits.decoded_bytes`."""
    row, total = first, 0
    for batch in batches:
        # The sizes are known before a word of a dictionary is written out for each of its rows.
        sizes = _row_sizes(batch, most, row)
        row, total = row + batch.num_rows, total + int(sizes.sum())
        if total > limits.decoded_bytes:
            expected = f"{limits.decoded_bytes} bytes at most unpacked"
            raise DropError(Reason.TOO_LARGE, expected=expected, got=f"{total} up to row {row - 1}")
        for start, end in _cuts(sizes, limits.batch_bytes):
            yield _without_words(batch.slice(start, end - start))


def _row_sizes(batch: pa.RecordBatch, most: Mapping[str, int], row: int) -> npt.NDArray[np.int64]:
    """The bytes of each row's texts. `row` is the number of the first row.

    Raises DropError for a cell that is too large."""
    sizes = np.zeros(batch.num_rows, np.int64)
    for name, cell in most.items():
        cells = batch.column(batch.schema.get_field_index(name))
        if pa.types.is_dictionary(cells.type):
            lengths = _lengths(cells.dictionary).take(cells.indices)
        else:
            lengths = _lengths(cells)
        found = lengths.fill_null(0).to_numpy(zero_copy_only=False)
        if len(found) and found.max() > cell:
            where = f"in the column {name}, row {row + int(np.argmax(found > cell))}"
            got = f"{found[np.argmax(found > cell)]}"
            raise DropError(Reason.TOO_LARGE, expected=f"cells of {cell} bytes at most {where}", got=got)
        sizes += found
    return sizes


def _lengths(cells: pa.Array) -> pa.Array:
    """The bytes of each cell of texts or bytes. Arrow cannot count those of its view types, so views are cast."""
    is_view = pa.types.is_string_view(cells.type) or pa.types.is_binary_view(cells.type)
    return pc.binary_length(cells.cast(pa.large_binary()) if is_view else cells)


def _cuts(sizes: npt.NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """The start and the end of each piece of at most `most` bytes, or of one larger row."""
    ends, start = np.cumsum(sizes), 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield start, end
        start = end


def _without_words(batch: pa.RecordBatch) -> pa.RecordBatch:
    written = [cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells for cells in batch.columns]
    return pa.RecordBatch.from_arrays(written, names=batch.schema.names)


def plain(stored: pa.DataType) -> pa.DataType:
    """The type of the cells: of a dictionary the type of its words."""
    return stored.value_type if pa.types.is_dictionary(stored) else stored


def is_text(stored: pa.DataType) -> bool:
    """Whether the cells are texts."""
    return bool(pa.types.is_string(stored) or pa.types.is_large_string(stored) or pa.types.is_string_view(stored))


def is_binary(stored: pa.DataType) -> bool:
    """Whether the cells are bytes."""
    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(check(stored) for check in checks)
