"""A PNG whose data end early is none, whatever its checksums say."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image as Picture

from millrace.contract.rules.pixels import decode
from millrace.contract.rules.png import has_all_rows


def png(raw: bytes, side: int, *, interlace: int = 0) -> bytes:
    """Grey, 8 bits a pixel."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, interlace)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("side", [1, 7, 28])
def test_what_is_written_whole_is_whole(mode: str, side: int) -> None:
    file = BytesIO()
    Picture.new(mode, (side, side + 1)).save(file, "png")
    for behind in (b"", b"\n", b"\0" * 13):
        assert has_all_rows(file.getvalue() + behind)


def test_a_header_of_many_rows_inflates_nothing() -> None:
    """Of 9,000 x 9,000 pixels, the most that Pillow opens without a word: 81 MB of a file of 130 kB."""
    bomb = bytearray(png(bytes(2**27), 8))
    bomb[16:24] = struct.pack(">II", 9_000, 9_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="PNG data of 8 x 8 pixels"):
            decode(bytes(bomb), "png", (1, 8, 8))
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("interlace", "size"), [(0, 8 * 9), (1, 2 + 2 + 3 + 6 + 10 + 20 + 36)])
def test_data_that_end_early_are_no_pixels(interlace: int, size: int) -> None:
    """Pillow decodes both, and leaves what is not there black. The sizes are those of the seven passes."""
    whole, short = (png(bytes(length), 8, interlace=interlace) for length in (size, size - 1))
    assert (has_all_rows(whole), has_all_rows(short)) == (True, False)
    assert np.array_equal(decode(whole, "png", (1, 8, 8)), np.zeros((1, 8, 8)))
    with pytest.raises(ValueError, match="PNG data of 8 x 8 pixels"):
        decode(short, "png", (1, 8, 8))


def indexed(raw: bytes, *chunks: tuple[bytes, bytes], colour: int = 3) -> bytes:
    """2 x 1 pixels."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, colour, 0, 0, 0)), *chunks, (b"IDAT", zlib.compress(raw))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [*parts, (b"IEND", b"")]
    )


PALETTE = (b"PLTE", b"\1\2\3\4\5\6")


@pytest.mark.parametrize(
    "content",
    [
        indexed(b"\0\1\2"),
        indexed(b"\0\1\2", (b"PLTE", b"")),
        indexed(b"\0\0\0", (b"PLTE", b"\1\2")),
        indexed(b"\0\1\xff", PALETTE),
        indexed(b"\0\0\1", PALETTE, (b"tRNS", b"\0\0")),
        indexed(b"\0\1\2\3\4\5\6", (b"tRNS", b"\0\1\0\2\0\3"), colour=2),
    ],
    ids=[
        "no palette",
        "an empty palette",
        "no whole colour",
        "beyond the palette",
        "transparent places",
        "a transparent colour",
    ],
)
def test_colours_that_nobody_drew_are_no_pixels(content: bytes) -> None:
    """Pillow draws all of them."""
    with pytest.raises(ValueError, match="PNG data of 1 x 2 pixels"):
        decode(content, "png", (3, 1, 2))


def of_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (*chunks, (b"IEND", b""))
    )


def header(colour: int, depth: int = 8) -> tuple[bytes, bytes]:
    """Of 4 x 1 pixels."""
    return b"IHDR", struct.pack(">IIBBBBB", 4, 1, depth, colour, 0, 0, 0)


GREY, PLACES = (b"IDAT", zlib.compress(b"\0\t\t\t\t")), (b"IDAT", zlib.compress(b"\0\0\1\2\3"))
FOUR, ONE = (b"PLTE", bytes(range(12))), (b"PLTE", bytes(3))
FRAME = (b"fcTL", struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 1, 0, 0))


@pytest.mark.parametrize(
    ("channels", "content"),
    [
        (1, of_chunks(header(0), FRAME, GREY)),
        (3, of_chunks(header(3), FOUR, ONE, PLACES)),
        (3, of_chunks(header(3), PLACES, FOUR)),
        (3, of_chunks(header(2), header(3), ONE, PLACES)),
        (1, of_chunks(header(0), header(0, 16), GREY)),
        (1, of_chunks(header(0), (b"IDAT", GREY[1][:5]), (b"DDAT", GREY[1][5:]))),
        (1, of_chunks(header(0), GREY, (b"XXXX", b""))),
        (1, of_chunks(header(0), ONE, GREY)),
        (3, of_chunks(header(3), (b"PLTE", bytes(13)), PLACES)),
        (1, of_chunks((b"IHDR", struct.pack(">IIBBBBB", 4, 1, 8, 0, 1, 0, 0)), GREY)),
        (1, of_chunks((b"IHDR", struct.pack(">IIBBBBB", 4, 1, 8, 0, 0, 0, 2)), GREY)),
    ],
    ids=[
        "a frame",
        "two palettes",
        "a late palette",
        "two headers",
        "two depths",
        "foreign pixels",
        "unknown",
        "a palette of grey",
        "a third of a colour",
        "an unknown compression",
        "an unknown interlace",
    ],
)
def test_chunks_that_decoders_read_in_different_ways_are_refused(channels: int, content: bytes) -> None:
    with pytest.raises(ValueError, match="PNG data of 1 x 4 pixels"):
        decode(content, "png", (channels, 1, 4))
