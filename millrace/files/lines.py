"""Reads a text file in blocks of whole lines, from any line on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from millrace.contract.reasons import Reason
from millrace.contract.violation import QuarantinedRow
from millrace.errors import DropError
from millrace.files.parsed import Limits

BOM = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8."""


class ByteStream(Protocol):
    """A file that is open for reading, or an object of which any part can be read."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, place: int, whence: int = 0, /) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Begin:
    """Where rows begin in a text: at its first record, or at any later one."""

    offset: int
    line: int = 1
    """The number of the record's first line, counted from 1 in the file."""
    names: tuple[str, ...] = ()
    """The contract's name of each cell, if records name none themselves."""
    unparsable: tuple[QuarantinedRow, ...] = ()
    """Lines before the first record that are none and should not be there."""
    until: int = sys.maxsize
    """The number of the first line that is read no more. What stands there may still tell how a record ends."""


Spans = Callable[[bytes, bool], Iterable[int] | None]
"""The number of lines of each record of a block, and whether it is the last one; None if each line is a record. A
record that continues in the next block has no number."""


def after_mark(file: ByteStream) -> int:
    """The offset of the text behind the byte order mark, at which the file is read next: 3, or 0 if it has none."""
    return file.seek(len(BOM) if file.read(len(BOM)) == BOM else 0)


def record_at(file: ByteStream, begin: int, upto: int, spans: Spans, limits: Limits) -> tuple[int, int]:
    """The offset of the first record at `upto` or behind, the end of the file if there is none; and the lines before.

    A record begins at `begin`. Raises DropError as `blocks` does."""
    at, passed, rest = file.seek(begin), 0, b""
    parts = blocks(file, limits, most_lines=limits.batch_rows)
    following = next(parts, None)
    while following is not None and at < upto:
        block, following = rest + following, next(parts, None)
        lines, number = ended_lines_of(block), 0
        for span in spans(block, following is None) or [1] * len(lines):
            if at >= upto:
                return at, passed
            at += sum(len(line) + 1 for line in lines[number : number + span])
            number, passed = number + span, passed + span
        rest = b"".join(line + b"\n" for line in lines[number:])
    return min(at, file.seek(0, 2)), passed


def line_at(file: ByteStream, place: int, limits: Limits) -> int:
    """The offset of the first line that begins at `place` or behind; the end of the file if there is none.

    Raises DropError for a line that is too long."""
    at = file.seek(place - 1)
    while data := file.read(limits.line_bytes):
        if (end := data.find(b"\n")) >= 0:
            return at + end + 1
        at += len(data)
        if at >= place + limits.line_bytes:
            raise _too_long(limits)
    return at


def blocks(file: ByteStream, limits: Limits, *, most_lines: int) -> Iterator[bytes]:
    """The rest of the file in blocks of at most `most_lines` whole lines. It is at the beginning of a line.

    Blocks are not cut by bytes alone: a refused row takes a kilobyte of memory, even if its line has two bytes.
    Raises DropError `too_large` for a line of more than `limits.line_bytes`."""
    rest = b""
    while data := file.read(limits.block_bytes):
        # Bytes behind the last line end are the beginning of a line: they go before the next block.
        whole, end, rest = (rest + data).rpartition(b"\n")
        _check_lines(whole, limits)
        _check_lines(rest, limits)
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


def _check_lines(block: bytes, limits: Limits) -> None:
    """Raise DropError for a line that is too long.

    It looks for one line end in each stretch of `line_bytes`, not for each line."""
    most, at = limits.line_bytes, 0
    while len(block) - at > most:
        end = block.rfind(b"\n", at, at + most + 1)
        if end < 0:
            raise _too_long(limits)
        at = end + 1


def _too_long(limits: Limits) -> DropError:
    return DropError(Reason.TOO_LARGE, expected=f"lines of {limits.line_bytes} bytes at most", got="a longer one")


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
