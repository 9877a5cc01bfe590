"""The pixels of a PNG or JPEG: one decoder for images that are dropped, trained on and predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from millrace.contract.rules.jpeg import has_few_scans
from millrace.contract.rules.png import has_all_rows, palette_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Encoding = Literal["raw", "png", "jpeg"]


def decode(content: Any, encoding: Encoding, shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """The pixels of the image, of the shape (C, H, W). `content` is a buffer of bytes.

    Raises ValueError for data that are cut off, altered, transparent or of another size; its message is what was
    expected. Pillow raises many errors for such data, and for some of them none."""
    from io import BytesIO

    import numpy as np
    from PIL import Image as Picture

    channels, height, width = shape
    kind = encoding.upper()
    expected = f"{kind} data of {height} x {width} pixels"
    if encoding == "jpeg" and not has_few_scans(content):
        raise ValueError(expected)
    try:
        if encoding == "png":
            # Decoding alone does not look at the checksums of the pixels' chunks. A JPEG has none.
            with Picture.open(BytesIO(content), formats=[kind]) as picture:
                picture.verify()
        with Picture.open(BytesIO(content), formats=[kind]) as picture:
            if (picture.height, picture.width) != (height, width):
                raise ValueError(expected)
            # Only after the check of the size: a header that says a million rows would have as many inflated.
            if encoding == "png" and not has_all_rows(content):
                raise ValueError(expected)
            # Pillow draws pixels beyond the palette in black and leaves transparency out, without an error.
            colours = palette_of(content) if encoding == "png" else None
            if colours is not None and np.asarray(picture).max() >= colours:
                raise ValueError(expected)
            pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"), dtype=np.uint8)
    except Exception:  # the bytes of the sender decide what Pillow raises: IndexError, AssertionError and others
        raise ValueError(expected) from None
    return pixels.reshape(shape) if channels == 1 else pixels.transpose(2, 0, 1)
