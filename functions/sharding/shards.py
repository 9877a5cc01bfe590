"""Accepted rows as JSON-lines shards for batch transform: an id, then the features, a row each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

from millrace.errors import WorkloadError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 8192


def shards(accepted: pa.Table, features: Sequence[str], *, limit: int) -> Iterator[bytes]:
    """The rows in order, in pieces of at most `limit` bytes; the n-th row, counted from 0, has the id "n".

    A single row longer than `limit` is a piece of its own. Raises WorkloadError for a feature called "id"."""
    if "id" in features:
        raise WorkloadError(where="workload.yaml", field="features", expected="names other than 'id'", came="id")
    piece: list[bytes] = []
    size = 0
    for line in _lines(accepted, features):
        if piece and size + len(line) > limit:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield b"".join(piece)


def _lines(accepted: pa.Table, features: Sequence[str]) -> Iterator[bytes]:
    encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain).encode
    number = 0
    for batch in accepted.select(list(features)).to_batches(max_chunksize=BATCH_ROWS):
        for row in batch.to_pylist():
            yield encode({"id": str(number), **row}).encode() + b"\n"
            number += 1


def _plain(cell: object) -> str:
    """What JSON has no word for, as `millrace.contract.row` reads it: times as ISO text, bytes as hexadecimal."""
    if isinstance(cell, bytes):
        return cell.hex()
    if isinstance(cell, date):
        return cell.isoformat()
    raise TypeError(f"expected a cell, got {cell!r}")
