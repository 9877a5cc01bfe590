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


def of_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (*chunks, (b"IEND", b""))
    )


def header(wide: int, high: int, colour: int, depth: int = 8, **how: int) -> tuple[bytes, bytes]:
    ways = (how.get(name, 0) for name in ("compression", "filtering", "interlace"))
    return b"IHDR", struct.pack(">IIBBBBB", wide, high, depth, colour, *ways)


def data(raw: bytes) -> tuple[bytes, bytes]:
    return b"IDAT", zlib.compress(raw)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("side", [1, 7, 28])
def test_what_is_written_whole_is_whole(mode: str, side: int) -> None:
    file = BytesIO()
    Picture.new(mode, (side, side + 1)).save(file, "png")
    for behind in (b"", b"\n", b"\0" * 13):
        assert has_all_rows(file.getvalue() + behind)


def test_a_header_of_many_rows_inflates_nothing() -> None:
    """Of 9,000 x 9,000 pixels, the most that Pillow opens without a word: 81 MB of a file of 130 kB."""
    bomb = of_chunks(header(9_000, 9_000, 0), data(bytes(2**27)))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="PNG data of 8 x 8 pixels"):
            decode(bomb, "png", (1, 8, 8))
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("interlace", "size"), [(0, 8 * 9), (1, 2 + 2 + 3 + 6 + 10 + 20 + 36)])
def test_data_that_end_early_are_no_pixels(interlace: int, size: int) -> None:
    """Pillow decodes both, and leaves what is not there black. The sizes are those of the seven passes."""
    head = header(8, 8, 0, interlace=interlace)
    whole, short = (of_chunks(head, data(bytes(length))) for length in (size, size - 1))
    assert (has_all_rows(whole), has_all_rows(short)) == (True, False)
    assert np.array_equal(decode(whole, "png", (1, 8, 8)), np.zeros((1, 8, 8)))
    with pytest.raises(ValueError, match="PNG data of 8 x 8 pixels"):
        decode(short, "png", (1, 8, 8))


GREY, PLACES = data(b"\0\t\t\t\t"), data(b"\0\0\1\2\3")
FOUR, TWO, ONE = ((b"PLTE", bytes(range(3 * colours))) for colours in (4, 2, 1))
FRAME = (b"fcTL", struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 1, 0, 0))
WRONG: dict[str, tuple[tuple[bytes, bytes], ...]] = {
    # Colours that nobody drew; Pillow draws all of them.
    "no palette": (header(4, 1, 3), PLACES),
    "an empty palette": (header(4, 1, 3), (b"PLTE", b""), PLACES),
    "no whole colour": (header(4, 1, 3), (b"PLTE", b"\1\2"), data(bytes(5))),
    "beyond the palette": (header(4, 1, 3), TWO, data(b"\0\0\0\0\xff")),
    "transparent places": (header(4, 1, 3), FOUR, (b"tRNS", b"\0\0"), PLACES),
    "a transparent colour": (header(4, 1, 2), (b"tRNS", bytes(6)), data(bytes(13))),
    # Chunks that decoders read in different ways.
    "a frame": (header(4, 1, 0), FRAME, GREY),
    "two palettes": (header(4, 1, 3), FOUR, ONE, PLACES),
    "a late palette": (header(4, 1, 3), PLACES, FOUR),
    "two headers": (header(4, 1, 2), header(4, 1, 3), ONE, PLACES),
    "two depths": (header(4, 1, 0), header(4, 1, 0, 16), GREY),
    "foreign pixels": (header(4, 1, 0), (b"IDAT", GREY[1][:5]), (b"DDAT", GREY[1][5:])),
    "unknown": (header(4, 1, 0), GREY, (b"XXXX", b"")),
    "a palette of grey": (header(4, 1, 0), ONE, GREY),
    "a third of a colour": (header(4, 1, 3), (b"PLTE", bytes(13)), PLACES),
    "an unknown compression": (header(4, 1, 0, compression=1), GREY),
    "an unknown interlace": (header(4, 1, 0, interlace=2), GREY),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_decoders_read_in_different_ways_is_refused(name: str) -> None:
    channels = 3 if WRONG[name][0][1][9] else 1  # by the header's colour
    with pytest.raises(ValueError, match="PNG data of 1 x 4 pixels"):
        decode(of_chunks(*WRONG[name]), "png", (channels, 1, 4))


def test_the_good_chunks_beside_them_are_pixels() -> None:
    """The control."""
    assert decode(of_chunks(header(4, 1, 0), GREY), "png", (1, 1, 4)).shape == (1, 1, 4)
    assert decode(of_chunks(header(4, 1, 3), FOUR, PLACES), "png", (3, 1, 4)).shape == (3, 1, 4)
