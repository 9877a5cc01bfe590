"""Whether a PNG has all its pixels: Pillow takes one whose data end early, each checksum right, and leaves the rest
black."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

SIGNATURE = 8
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By the colour type of the header."""
INDEXED = 3
"""The colour type of pixels that are places in a palette."""
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row, and the distance to the next ones, of each pass: https://www.w3.org/TR/png-3/#8Interlace"""


def palette_of(content: Any) -> int | None:
    """How many colours the palette has that the pixels name; None where the pixels are colours themselves.

    Raises ValueError for transparency, of whatever colour type, and for a palette that is not there."""
    colours: dict[bytes, int] = {}
    for kind, chunk in _chunks(memoryview(content)):
        colours.setdefault(kind, chunk[9] if kind == b"IHDR" else len(chunk) // 3)
    if b"tRNS" in colours:
        raise ValueError("transparency")
    if colours[b"IHDR"] != INDEXED:
        return None
    if not colours.get(b"PLTE"):
        raise ValueError("no palette")
    return colours[b"PLTE"]


def has_all_rows(content: Any) -> bool:
    """Whether the data are as long as the header says; `content` is a PNG whose checksums are right.

    Raises struct.error, KeyError or zlib.error for what is none."""
    data, packed = memoryview(content), []
    header = b""
    for kind, chunk in _chunks(data):
        if kind == b"IHDR":
            header = bytes(chunk)
        elif kind == b"IDAT":
            packed.append(chunk)
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    bits = depth * CHANNELS[colour]
    passes = ADAM7 if interlace else ((0, 0, 1, 1),)
    expected = sum(
        _size(-(-(width - left) // across), -(-(height - top) // down), bits) for left, top, across, down in passes
    )
    reader = zlib.decompressobj()
    return len(reader.decompress(b"".join(packed), expected)) == expected


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = SIGNATURE
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = bytes(data[at + 4 : at + 8])
        yield kind, data[at + 8 : at + 8 + length]
        if kind == b"IEND":
            return  # what stands behind it is no chunk
        at += 12 + length


def _size(width: int, height: int, bits: int) -> int:
    """Bytes of the rows of a pass, each behind the byte of its filter; a pass without columns has none."""
    return height * (1 + -(-width * bits // 8)) if width > 0 and height > 0 else 0
