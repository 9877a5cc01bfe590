"""Checks of a PNG that Pillow does not make.

Pillow takes a PNG with right checksums whose data end early, and leaves the rest black. It also draws pixels in black
that name a colour beyond the palette."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

SIGNATURE = 8
"""The bytes of a PNG before its first chunk."""
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""The samples of a pixel, by the colour type of the header."""
REFUSED = (b"tRNS", b"acTL", b"fcTL", b"fdAT")
"""The chunks of transparency, and of animations: Pillow draws an image in the box of its first frame."""
INDEXED = 3
"""The colour type of pixels that are places in a palette."""
GREY = (0, 4)
"""The colour types that have no palette: https://www.w3.org/TR/png-3/#11PLTE"""
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The seven passes of an interlaced PNG: first column, first row, and the distances to the next column and row.
https://www.w3.org/TR/png-3/#8Interlace"""


def palette_of(content: Any) -> int | None:
    """The number of colours in the palette of an indexed PNG; None if the pixels are colours themselves.

    Raises ValueError for transparency, of whatever colour type, and for chunks that decoders read in different ways:

    - a header or a palette that comes twice or too late
    - a palette with a part of a colour, or beside grey pixels
    - pixels in several places, and the frames of an animation
    - methods and critical chunks that are unknown"""
    # Of all chunks only these may change pixels. They must come in one order: header, palette, data in one piece, end.
    # A decoder must know chunks of a kind with a capital first.
    order = [(kind, chunk) for kind, chunk in _chunks(memoryview(content)) if not kind[0] & 0x20 or kind in REFUSED]
    kinds = [kind for kind, _ in order]
    pixels = kinds.count(b"IDAT")
    has_palette = b"PLTE" in kinds
    if kinds != [b"IHDR", *[b"PLTE"] * has_palette, *[b"IDAT"] * pixels, b"IEND"]:
        raise ValueError(f"chunks in the order {kinds[:8]}")
    # Behind width, height and bits, the header has the colour type, two methods and the interlace, a byte each.
    colour, *methods, interlace = order[0][1][9:13]
    if any(methods) or interlace > 1:
        raise ValueError(f"methods {methods} and interlace {interlace}")
    is_indexed, colours = colour == INDEXED, len(order[1][1]) // 3 if has_palette else 0
    if has_palette and (colour in GREY or not colours or len(order[1][1]) % 3):
        raise ValueError(f"a palette of {len(order[1][1])} bytes beside pixels of colour type {colour}")
    if is_indexed and not has_palette:
        raise ValueError("no palette")
    return colours if is_indexed else None


def has_all_rows(content: Any) -> bool:
    """Whether the pixels' data are as long as the header says. `content` is a PNG with right checksums.

    Raises struct.error, KeyError or zlib.error for other bytes."""
    data, packed = memoryview(content), []
    header = b""
    for kind, chunk in _chunks(data):
        if kind == b"IHDR":
            header = bytes(chunk)
        elif kind == b"IDAT":
            packed.append(chunk)
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    # The expected bytes are those of all passes; an image without interlace is one pass over all pixels.
    bits = depth * CHANNELS[colour]
    passes = ADAM7 if interlace else ((0, 0, 1, 1),)
    expected = sum(
        _size(-(-(width - left) // across), -(-(height - top) // down), bits) for left, top, across, down in passes
    )
    # At most as many bytes are inflated as the image needs, whatever the data could become.
    return len(zlib.decompressobj().decompress(b"".join(packed), expected)) == expected


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """The kind and the data of each chunk, IEND included. A chunk is its length, its kind, its data and a checksum."""
    at = SIGNATURE
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = bytes(data[at + 4 : at + 8])
        yield kind, data[at + 8 : at + 8 + length]
        if kind == b"IEND":
            return  # bytes behind the end are no chunk
        at += 12 + length


def _size(width: int, height: int, bits: int) -> int:
    """The bytes of the rows of a pass. Each row follows a byte for its filter; a pass without columns has no rows."""
    return height * (1 + -(-width * bits // 8)) if width > 0 and height > 0 else 0
