"""Reads a text file in blocks of whole lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from millrace.contract.reasons import Reason
from millrace.errors import DropError
from millrace.files.parsed import Limits

BOM = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8."""


class ByteStream(Protocol):
    """What is read from its beginning to its end: an open file, or an object in parts."""

    def read(self, size: int, /) -> bytes: ...
    def tell(self) -> int: ...


def blocks(path: Path, limits: Limits, *, most_lines: int) -> Iterator[bytes]:
    """As `blocks_of`, of the file at `path`."""
    with path.open("rb") as file:
        yield from blocks_of(file, limits, most_lines=most_lines)


def blocks_of(file: ByteStream, limits: Limits, *, most_lines: int) -> Iterator[bytes]:
    """The file in blocks of at most `most_lines` whole lines, without the byte order mark.

    Blocks are not cut by bytes alone: a refused row takes a kilobyte of memory, even if its line has two bytes.
    Raises DropError `too_large` for a line of more than `limits.line_bytes`."""
    rest, line = file.read(len(BOM)).removeprefix(BOM), 1
    while data := file.read(limits.block_bytes):
        # Bytes behind the last line end are the beginning of a line: they go before the next block.
        whole, end, rest = (rest + data).rpartition(b"\n")
        _check_lines(whole, line, limits)
        _check_lines(rest, line := line + whole.count(b"\n") + len(end), limits)
        if end:
            yield from _parts(whole + end, most_lines)
    if rest:
        yield from _parts(rest, most_lines)


def _parts(block: bytes, most_lines: int) -> Iterator[bytes]:
    """The block in parts of at most `most_lines` lines."""
    import numpy as np

    if block.count(b"\n", 0, len(block) - 1) < most_lines:
        yield block
        return
    ends = np.flatnonzero(np.frombuffer(block[:-1], np.uint8) == ord("\n")) + 1
    start = 0
    for end in [*ends[most_lines - 1 :: most_lines].tolist(), len(block)]:
        yield block[start:end]
        start = end


def _check_lines(block: bytes, line: int, limits: Limits) -> None:
    """Raise DropError for a line that is too long. `line` is the number of the first one.

    It looks for one line end in each stretch of `line_bytes`, not for each line."""
    most, at = limits.line_bytes, 0
    while len(block) - at > most:
        end = block.rfind(b"\n", at, at + most + 1)
        if end < 0:
            line += block.count(b"\n", 0, at)
            raise DropError(Reason.TOO_LARGE, expected=f"lines of {most} bytes at most", got=f"a longer line {line}")
        at = end + 1


def lines_of(block: bytes) -> list[bytes]:
    """The lines of a block, without their ends. "\\r\\n" and "\\n" end a line."""
    return [line.removesuffix(b"\r") for line in ended_lines_of(block)]


def ended_lines_of(block: bytes) -> list[bytes]:
    """The lines of a block, without the "\\n" that ends them, but with a "\\r" before it."""
    lines = block.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return lines


def raw_text(data: bytes) -> str:
    """The bytes as a text that can be kept anywhere: bytes that are no UTF-8 become escapes."""
    return data.decode("utf-8", errors="backslashreplace")
