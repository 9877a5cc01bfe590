"""Decides how much of a Parquet file is unpacked at once: no more than a few pages, whatever the cells hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from millrace.contract.reasons import Reason
from millrace.errors import DropError
from millrace.files.pages import DELTA_LENGTHS, DELTA_PREFIXES, Page
from millrace.files.parsed import Limits

LENGTH_BYTES = 64
"""An upper bound of what a page holds of a cell beside the cell's bytes: its length, its level."""


def check_pages(pages: Mapping[str, list[Page]], most: Mapping[str, int], limits: Limits) -> None:
    """Raise DropError `too_large` for pages that are too large, one by one or together.

    `most` has the most bytes of a cell, for each column with cells of different sizes."""
    # All pages together.
    decoded = sum(page.size for each in pages.values() for page in each)
    if decoded > limits.decoded_bytes:
        expected = f"{limits.decoded_bytes} bytes at most unpacked"
        raise DropError(Reason.TOO_LARGE, expected=expected, got=f"{decoded}")
    # Each page by its cells: if it is larger than its largest cells could make it, a cell is too large.
    for name, cell in most.items():
        for page in pages[name]:
            room = cell + LENGTH_BYTES
            if page.size > room * max(1, page.rows) or page.words_size > room * max(1, page.words):
                where = f"in the column {name}, rows {page.first + 1} to {page.first + page.rows}"
                got = f"{max(page.size, page.words_size)} on {page.words or page.rows}"
                raise DropError(Reason.TOO_LARGE, expected=f"cells of {cell} bytes at most {where}", got=got)
    # The pages in memory at one time: of each column one page, unpacked whole, with its dictionary.
    held = {name: max((page.size + page.words_size for page in each), default=0) for name, each in pages.items()}
    if sum(held.values()) > limits.page_bytes:
        largest = max(held, key=lambda name: held[name])
        expected = f"pages of {limits.page_bytes} bytes at most, unpacked, one of each column"
        raise DropError(
            Reason.TOO_LARGE, expected=expected, got=f"{sum(held.values())}, most of them in the column {largest}"
        )


def is_of_few_words(pages: list[Page], limits: Limits) -> bool:
    """Whether the column may be read as a dictionary: it has one of limited size, and Arrow can keep it.

    Arrow cannot if a page has an encoding with differences: DELTA_LENGTHS or DELTA_PREFIXES."""
    words = max((page.words_size for page in pages), default=0)
    by_lengths = any(page.encoding in (DELTA_LENGTHS, DELTA_PREFIXES) for page in pages)
    return 0 < words <= limits.cell_bytes and not by_lengths


def rows_at_once(texts: Mapping[str, list[Page]], words: Collection[str], limits: Limits, *, most: int) -> int:
    """The number of rows that may be read at once, at most `most`.

    `texts` has the pages of the columns with cells of different sizes. `words` are the columns among them that are read
    as dictionaries."""

    def held(rows: int) -> int:
        return sum(_most_held(pages, rows, has_words=name in words) for name, pages in texts.items() if pages)

    # One cell may fill its page, and the page is in memory anyway: to read less than a page at once saves nothing.
    allowed = 2 * max(limits.batch_bytes, held(1))
    rows = most
    while rows > 1 and held(rows) > allowed:
        rows //= 2
    return rows


def _most_held(pages: list[Page], rows: int, *, has_words: bool) -> int:
    """The most bytes that the cells of so many consecutive rows may have, by the sizes of their pages."""
    # A cell that repeats a word or parts of earlier cells may be as large as all that it can repeat. Such cells are
    # counted one by one, and their pages as 0.
    repeated = 0 if has_words else max(page.words_size for page in pages)
    repeated = max([repeated, *(page.size for page in pages if page.encoding == DELTA_PREFIXES)])
    first = np.array([page.first for page in pages], np.int64)
    size = np.array([0 if page.words_size or page.encoding == DELTA_PREFIXES else page.size for page in pages])
    before = np.concatenate([[0], np.cumsum(size)])
    # For each page, the span of rows begins at its last row: then it reaches the farthest. `last` is the first page
    # behind the span, so the difference of the sums is the size of all pages that the span touches.
    last_row = np.append(first[1:], first[-1] + pages[-1].rows) - 1
    last = np.searchsorted(first, np.maximum(last_row, first) + rows - 1, side="right")
    return int((before[last] - before[:-1]).max()) + rows * repeated


def parts_of(
    batches: Iterable[pa.RecordBatch], most: Mapping[str, int], limits: Limits, *, rows: int
) -> Iterator[pa.RecordBatch]:
    """The batches without dictionaries, in parts of about `limits.batch_bytes` and at most `rows` rows.

    `most` has the most bytes of a cell, by column. Raises DropError `too_large` for a larger cell, and if all cells
    together have more than `limits.decoded_bytes`."""
    waiting: list[pa.RecordBatch] = []
    row, total, held = 1, 0, 0
    for batch in batches:
        # The sizes are known before a word of a dictionary is written out for each of its rows.
        sizes = _row_sizes(batch, most, row)
        row, total = row + batch.num_rows, total + int(sizes.sum())
        if total > limits.decoded_bytes:
            expected = f"{limits.decoded_bytes} bytes at most unpacked"
            raise DropError(Reason.TOO_LARGE, expected=expected, got=f"{total} up to row {row - 1}")
        # Pieces of a batch wait until the next one would make the part too large.
        for start, end in _cuts(sizes, limits.batch_bytes):
            piece = sizes[start:end]
            many = len(piece) + sum(each.num_rows for each in waiting)
            if waiting and (held + piece.sum() > limits.batch_bytes or many > rows):
                yield pa.concat_batches(waiting)
                waiting, held = [], 0
            waiting.append(_without_words(batch.slice(start, end - start)))
            held += int(piece.sum())
    if waiting:
        yield pa.concat_batches(waiting)


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
    plain = [cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells for cells in batch.columns]
    return pa.RecordBatch.from_arrays(plain, names=batch.schema.names)
