"""The encoder `image`: an image as samples of one byte each; it is decoded, but never scaled or cropped.

Axes: N rows, C channels, H × W pixels. A sample is one channel of one pixel, 0 to 255."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millrace.contract.rules.pixels import Encoding, decode
from millrace.features.encoder import OneColumn
from millrace.features.parts import Meaning, Part
from millrace.features.signature import TensorSpec, check_own

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Table
    from millrace.features.encoder import FeatureKind
    from millrace.workload.declaration import Feature

    Pixels = npt.NDArray[np.uint8]

SUMMARIES = ("brightness", "contrast")
"""The watched columns: mean and standard deviation of an image's samples, 0 to 255.

Height and width need no watching, as the contract fixes them."""
PATCHES = 7
"""The most patches along each side of an image in an explanation: an image of 28 x 28 has 49 patches of 4 x 4."""


@dataclass(frozen=True, kw_only=True)
class Image(OneColumn):
    """A tensor of its own (N, C, H, W), uint8, with the name of the feature; a missing image is all 0, so black."""

    kind: ClassVar[str] = "image"
    takes_features: ClassVar[str] = "a binary column with the custom property image"
    default_for: ClassVar[tuple[FeatureKind, ...]] = ("binary",)
    encoding: Encoding
    shape: tuple[int, int, int]
    """Channels, height, width."""
    pretrained: tuple[int, ...] = ()
    """The sizes of the backbone that reads the image too, as the signature has them; empty without one."""

    @classmethod
    def declare(cls, feature: Feature, table: Table) -> Self | None:
        """The encoder for a binary column for which the contract says how its images are encoded; None for others.

        Raises WorkloadError if the column has the name of a tensor that several features share."""
        rules = table.column(feature.name).rules
        rule: Any = next((rule for rule in rules if rule.reason == cls.kind), None)
        if rule is None:
            return None
        check_own(feature.name, "an image")
        optional = not table.column(feature.name).required
        return cls(name=feature.name, encoding=rule.encoding, shape=rule.shape, optional=optional)

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(name=self.name, dtype="uint8", shape=self.shape, pretrained=self.pretrained)

    def encode(self, rows: pa.Table) -> Pixels:
        """The samples of all images. Raises ValueError for a cell that is none, perhaps with a good header."""
        pixels, taken_N = self.decode(rows)
        if not taken_N.all():
            raise ValueError(f"{self.name}: expected an image in each cell, got none in row {taken_N.argmin() + 1}")
        return pixels

    def takes(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        return self.decode(rows)[1]

    def decode(self, rows: pa.Table) -> tuple[Pixels, npt.NDArray[np.bool_]]:
        """The samples of each row (N, C, H, W), and whether its cell is taken (N).

        A cell is taken if it is an image, or missing and allowed to be. The samples of other cells mean nothing."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        cells = rows[self.name].combine_chunks()
        # A table's file may have long offsets (large_binary), a drop has short ones.
        is_binary = pa.types.is_binary(cells.type) or pa.types.is_large_binary(cells.type)
        lacking_N = np.array(pc.is_null(cells).to_numpy(zero_copy_only=False), np.bool_) & self.optional & is_binary
        taken_N = lacking_N.copy()
        pixels = np.zeros((len(cells), *self.shape), dtype=np.uint8)
        if is_binary and self.encoding == "raw":
            # Raw images need no decoding: each cell of the right length is one. If all are, they are not even copied.
            fits = pc.fill_null(pc.equal(pc.binary_length(cells), self._samples), False)
            fits_N = np.array(fits.to_numpy(zero_copy_only=False), np.bool_)
            if fits_N.all():
                return self._raw(cells), fits_N
            pixels[fits_N] = self._raw(cells.filter(pa.array(fits_N)))
            taken_N |= fits_N
        elif is_binary:
            for row in np.flatnonzero(~lacking_N).tolist():
                taken_N[row] = cells[row].is_valid and self._decode_into(pixels[row], cells[row].as_buffer())
        return pixels, taken_N

    def encode_one(self, row: Mapping[str, Any]) -> Pixels:
        """The samples of one image: base64 text, or bytes if the row comes from a table."""
        import numpy as np

        cell = row[self.name]
        if cell is None and self.optional:
            return np.zeros(self.shape, np.uint8)
        if not isinstance(cell, str | bytes):
            raise ValueError("base64 text")
        try:
            content = base64.b64decode(cell, validate=True) if isinstance(cell, str) else cell
        except ValueError:
            raise ValueError("base64 text") from None
        return self._pixels(content)

    def meaning(self, row: Mapping[str, Any]) -> Meaning:
        """A part for each patch, row by row from the upper left; the names count pixels from 1."""
        import numpy as np

        # The patch row of each pixel row, and the patch column of each pixel column; sides are divided rounding up.
        _, height, width = self.shape
        rows, columns = (np.arange(size) // -(-size // PATCHES) for size in (height, width))
        across = int(columns[-1]) + 1
        of_entry = np.broadcast_to(rows[:, None] * across + columns, self.shape).astype(np.int64)
        bands = [(_band(rows, a), _band(columns, b)) for a in np.unique(rows) for b in range(across)]
        parts = tuple(
            Part(
                column=self.name,
                place=f"rows {top + 1}-{bottom + 1}, columns {left + 1}-{right + 1}",
                kind="patch",
                box=(left, top, right - left + 1, bottom - top + 1),
            )
            for (top, bottom), (left, right) in bands
        )
        return Meaning(parts=parts, of_entry=of_entry)

    @property
    def watched(self) -> tuple[str, ...]:
        return tuple(f"{self.name}.{summary}" for summary in SUMMARIES)

    def measure(self, pixels: Pixels) -> dict[str, npt.NDArray[np.float64]]:
        """The watched columns of images, each (N), from their decoded samples."""
        return dict(zip(self.watched, _moments(pixels), strict=True))

    def summarise(self, rows: pa.Table) -> pa.Table:
        import pyarrow as pa

        moments = [_moments(self.encode(part)) for part in _slices(rows, self._samples)]
        columns = zip(*moments, strict=True) if moments else ((), ())
        names = [pa.chunked_array([pa.array(part) for part in parts], pa.float64()) for parts in columns]
        return pa.table(dict(zip(self.watched, names, strict=True)))

    def _pixels(self, content: Any) -> Pixels:
        """The samples of one cell (C, H, W). Raises ValueError if its content is no such image."""
        import numpy as np

        if self.encoding != "raw":
            return decode(content, self.encoding, self.shape)
        if len(content) != self._samples:
            raise ValueError(f"{self._samples} bytes")
        return np.frombuffer(content, dtype=np.uint8).reshape(self.shape)

    def _decode_into(self, pixels: Pixels, content: Any) -> bool:
        """Whether the content is an image. If it is, its samples are written to `pixels`."""
        try:
            pixels[...] = decode(content, self.encoding, self.shape)
        except ValueError:
            return False
        return True

    @property
    def _samples(self) -> int:
        channels, height, width = self.shape
        return channels * height * width

    def _raw(self, cells: Any) -> Pixels:
        """The samples of raw cells of the right length (N, C, H, W), as a view of Arrow's memory."""
        import numpy as np
        import pyarrow as pa

        if not len(cells):
            return np.empty((0, *self.shape), dtype=np.uint8)
        # All cells have one length and lie one after the other, so Arrow's buffer is the array already. A sliced column
        # begins in the middle of its buffer.
        fixed = cells.cast(pa.binary(self._samples))
        content = np.frombuffer(fixed.buffers()[1], dtype=np.uint8)
        first = fixed.offset * self._samples
        return content[first : first + len(fixed) * self._samples].reshape(-1, *self.shape)


def _band(band_of: npt.NDArray[np.integer[Any]], band: int) -> tuple[int, int]:
    """The first and the last pixel of a band, counted from 0; `band_of` has the band of each pixel along one side."""
    pixels = (band_of == band).nonzero()[0]
    return int(pixels[0]), int(pixels[-1])


def _moments(pixels: Pixels) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation of each image (N)."""
    import numpy as np

    # Sums of whole numbers are exact, so an image has the same bits however many images share the call.
    flat = pixels.reshape(len(pixels), -1).astype(np.int64)
    count = max(flat.shape[1], 1)
    mean = flat.sum(axis=1) / count
    square = (flat * flat).sum(axis=1) / count
    return mean, np.sqrt(np.maximum(square - mean * mean, 0.0))


def _slices(rows: pa.Table, samples: int) -> Iterable[pa.Table]:
    """The rows in slices whose samples take at most 64 MiB as int64, or of one image each."""
    step = max(1, 2**26 // (8 * samples))
    return (rows.slice(at, step) for at in range(0, rows.num_rows, step))
