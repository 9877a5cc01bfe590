"""A binary cell is an image of the declared encoding and size, by its length and header; a drop's are decoded too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from millrace.contract.reasons import Reason
from millrace.contract.rules.image_end import JPEG, PNG, is_cut_off
from millrace.contract.rules.jpeg import SCANS, has_few_scans
from millrace.contract.rules.pixels import Encoding
from millrace.contract.rules.rule import Rule

if TYPE_CHECKING:
    from millrace.contract.kinds import Kind
    from millrace.contract.rules.column_cells import ColumnCells
    from millrace.contract.rules.declaration import Declaration

MOST_BYTES = 4 * 2**20
"""The most bytes of one cell: as base64 it fits into a request and into a shard of 6 MB."""

PNG_CHANNELS = {0: 1, 2: 3, 3: 3}
"""The channels of an image, by the colour type of its PNG: grey, RGB, palette. Types with transparency are refused.
https://www.w3.org/TR/png-3/#11IHDR"""
JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""The markers of a frame's header, SOF0 to SOF15: three codes in this range are others (ITU T.81, table B.1)."""
JPEG_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
"""The markers that no length follows: TEM and RST0 to RST7."""
JPEG_FILL = re.compile(rb"\xff+")
JPEG_SEGMENTS = 1000
"""The frame's header must come within so many segments. The largest image has room for about 70 full ones."""


@dataclass(frozen=True, kw_only=True)
class ImageSize:
    """The size of an image in pixels and its form, by its header."""

    channels: int
    height: int
    width: int
    bits: int
    """The bits of one sample."""


@dataclass(frozen=True, kw_only=True)
class ImageFormat(Rule):
    """The encoding and the size of the images in a column.

    A cell in the encoding `raw` has C × H × W bytes, one channel after another, each row by row."""

    reason: ClassVar[Reason] = Reason.IMAGE
    kinds: ClassVar[tuple[Kind, ...]] = ("binary",)
    custom_properties: ClassVar[tuple[str, ...]] = ("image",)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"customProperties": [{"property": "image", "value": {"encoding": "raw", "shape": [1, 2]}}]},
        {"customProperties": [{"property": "image", "value": {"encoding": "png", "shape": [1, 1, 1]}}]},
        {"customProperties": [{"property": "image", "value": {"encoding": "png", "shape": [1, 1, 1], "scale": True}}]},
        {"customProperties": [{"property": "image", "value": {"encoding": "jpeg", "shape": [3, 1, 1]}}]},
    )

    encoding: Encoding
    shape: tuple[int, int, int]
    """Channels (1 or 3), height, width."""
    scale: bool = False
    """Whether the console scales images of other sizes before it drops or predicts them. The system never scales."""

    @classmethod
    def declared(cls, declaration: Declaration) -> Iterator[ImageFormat]:
        value = declaration.take("image")
        if value is None:
            return
        if not isinstance(value, dict) or {*value, "scale"} != {"encoding", "shape", "scale"}:
            declaration.refuse("image", "a mapping of encoding, shape and perhaps scale", value)
        encoding, shape, scale = value["encoding"], value["shape"], value.get("scale", False)
        if encoding not in get_args(Encoding):
            declaration.refuse("image", f"an encoding of {', '.join(get_args(Encoding))}", encoding)
        if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape):
            declaration.refuse("image", "a shape of whole numbers from 1", shape)
        # A shape [height, width] has one channel.
        full = (1, *shape) if len(shape) == 2 else tuple(shape)
        if len(full) != 3 or full[0] not in (1, 3):
            declaration.refuse("image", "a shape [height, width] or [1 or 3, height, width]", shape)
        if full[0] * full[1] * full[2] > MOST_BYTES:
            declaration.refuse("image", f"a shape of at most {MOST_BYTES} samples", shape)
        if not isinstance(scale, bool) or (scale and encoding != "png"):
            declaration.refuse("image", "scale: true for png alone, in which nothing is lost, or false", value)
        yield cls(encoding=encoding, shape=full, scale=scale)

    def of_cell(self, cell: Any) -> Iterator[str]:
        if not self._is_good(cell):
            yield self.expected

    def of_column(self, cells: ColumnCells) -> Iterator[tuple[str, Any]]:
        import numpy as np
        import pyarrow.compute as pc

        if self.encoding == "raw":
            yield self.expected, pc.not_equal(cells.lengths, self.shape[0] * self.shape[1] * self.shape[2])
            return
        # Arrow's buffers have signed bytes, from -128; a header needs bytes from 0 to 255.
        views = (cell.as_buffer() for cell in cells.cells)
        bad = [view is not None and not self._is_good(memoryview(view).cast("B")) for view in views]
        yield self.expected, np.array(bad, dtype=bool)

    @property
    def expected(self) -> str:
        """What a cell must be, in words."""
        channels, height, width = self.shape
        if self.encoding == "raw":
            return f"{channels * height * width} bytes, {channels} x {height} x {width}"
        size = f"{height} x {width} pixels, {channels} x 8 bits, at most {MOST_BYTES} bytes"
        return f"a {self.encoding.upper()} of {size}" + (f", {SCANS} scans" if self.encoding == "jpeg" else "")

    def _is_good(self, cell: bytes | memoryview) -> bool:
        channels, height, width = self.shape
        if self.encoding == "raw":
            return len(cell) == channels * height * width
        if len(cell) > MOST_BYTES or (self.encoding == "jpeg" and not has_few_scans(cell)):
            return False
        found = read_png(cell) if self.encoding == "png" else read_jpeg(cell)
        return found == ImageSize(channels=channels, height=height, width=width, bits=8)


def describe(cell: bytes) -> str:
    """What the cell is by its header, and whether it is cut off: `a JPEG of 48 x 48 pixels, 3 x 8 bits, 1204 bytes`."""
    is_cut = is_cut_off(cell)
    for name, found in (("PNG", read_png(cell)), ("JPEG", read_jpeg(cell))):
        if found is not None:
            size = f"{found.height} x {found.width} pixels, {found.channels} x {found.bits} bits"
            scans = "" if name == "PNG" or has_few_scans(cell) else f", more than {SCANS} scans"
            return f"a {name} of {size}, {len(cell)} bytes{scans}{', cut off' if is_cut else ''}"
    if is_cut:
        return f"a {'PNG' if cell.startswith(PNG) else 'JPEG'} of {len(cell)} bytes, cut off"
    return f"{len(cell)} bytes that begin with {cell[:8]!r}" if cell else "no bytes"


def read_png(cell: bytes | memoryview) -> ImageSize | None:
    """What the header of a PNG says; None if the cell is no PNG, or one with transparency in its colour type."""
    # Signature (8 bytes), then the chunk IHDR: length (4), kind (4), width (4), height (4), bits, colour type and three
    # more, checksum (4).
    head = bytes(cell[:33])
    if len(head) < 33 or not head.startswith(PNG) or head[8:16] != b"\0\0\0\x0dIHDR":
        return None
    width, height = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    channels = PNG_CHANNELS.get(head[25])
    return None if channels is None else ImageSize(channels=channels, height=height, width=width, bits=head[24])


def read_jpeg(cell: bytes | memoryview) -> ImageSize | None:
    """What the frame's header of a JPEG says; None if no such header comes before the image's data."""
    if bytes(cell[:2]) != JPEG:
        return None
    at = 2
    # Segment after segment: FF, a marker, for most markers two bytes of length, and the rest of the segment.
    for _ in range(JPEG_SEGMENTS):
        start = JPEG_FILL.match(cell, at)  # one byte FF, or more of them to fill up
        if start is None or start.end() + 3 > len(cell):
            return None
        at = start.end()
        marker, length = cell[at], int.from_bytes(cell[at + 1 : at + 3])
        if marker in JPEG_WITHOUT_LENGTH:
            at += 1
        elif marker in JPEG_FRAMES:
            return _frame(bytes(cell[at + 3 : at + 9]))
        elif marker in (0xD9, 0xDA) or length < 2:  # the image's end, its data, or a length that lacks itself
            return None
        else:
            at += 1 + length
    return None


def _frame(head: bytes) -> ImageSize | None:
    """The size in a frame's header: bits, height, width and channels in 1, 2, 2 and 1 bytes."""
    if len(head) < 6:
        return None
    height, width = int.from_bytes(head[1:3]), int.from_bytes(head[3:5])
    return ImageSize(channels=head[5], height=height, width=width, bits=head[0])
