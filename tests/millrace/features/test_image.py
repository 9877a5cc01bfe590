"""Images: one pixel array on every road, and nothing that cannot be decoded."""

from __future__ import annotations

import base64
from zlib import crc32

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as Picture

from millrace.contract.rules.image import ImageFormat
from millrace.contract.rules.jpeg import SCANS
from millrace.contract.rules.pixels import Encoding
from millrace.contract.schema import Column, Table
from millrace.errors import WorkloadError
from millrace.features import catalogue
from millrace.features.image import Image
from millrace.workload.declaration import Feature
from tests import builders


def noise(channels: int, height: int = 5, width: int = 7, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (channels, height, width), dtype=np.uint8)


def packed(pixels: np.ndarray, encoding: Encoding) -> bytes:
    if encoding == "raw":
        return pixels.tobytes()
    return builders.picture(Picture.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)), encoding)


def encoder(encoding: Encoding, channels: int, *, required: bool = True) -> Image:
    rules = (ImageFormat(encoding=encoding, shape=(channels, 5, 7)),)
    column = Column(name="scan", kind="binary", required=required, rules=rules)
    [found] = catalogue.declare([Feature(name="scan")], Table(name="rows", columns=(column,)))
    assert isinstance(found, Image)
    return found


ENCODINGS: tuple[Encoding, ...] = ("png", "raw")
ALL = [(encoding, channels) for encoding in ("raw", "png", "jpeg") for channels in (1, 3)]


@pytest.mark.parametrize(("encoding", "channels"), ALL)
def test_a_request_and_a_table_give_the_same_bits(encoding: Encoding, channels: int) -> None:
    cells = [packed(noise(channels, seed=seed), encoding) for seed in range(4)]
    rows, image = pa.table({"scan": pa.array(cells, pa.binary())}), encoder(encoding, channels)
    for part in (rows, rows.slice(1, 2), rows.slice(0, 0)):
        whole = image.encode(part)
        assert (whole.dtype, whole.shape) == (np.uint8, (part.num_rows, channels, 5, 7))
        for pixels, cell in zip(whole, part["scan"].to_pylist(), strict=True):
            np.testing.assert_array_equal(pixels, image.encode_one({"scan": base64.b64encode(cell).decode()}))
            np.testing.assert_array_equal(pixels, image.encode_one({"scan": cell}))


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_data_that_is_altered_behind_its_header_is_refused_by_the_container(encoding: Encoding) -> None:
    cell, image = packed(noise(3), encoding), encoder(encoding, 3)
    cut = cell[: len(cell) // 2] if encoding == "png" else cell[:-120]
    with pytest.raises(ValueError, match=f"{encoding.upper()} data of 5 x 7 pixels"):
        image.encode_one({"scan": cut})
    with pytest.raises(ValueError, match="expected an image in each cell, got none in row 2"):
        image.encode(pa.table({"scan": [cell, cut]}))


@pytest.mark.parametrize("cell", [None, 5, "not base64!", base64.b64encode(b"abc").decode()])
def test_a_cell_that_is_no_image_is_refused(cell: object) -> None:
    with pytest.raises(ValueError, match=r"base64 text|35 bytes"):
        encoder("raw", 1).encode_one({"scan": cell})


def test_brightness_and_contrast_are_watched_instead_of_the_bytes() -> None:
    pixels = np.stack([np.full((1, 5, 7), 9, np.uint8), noise(1)])
    image = encoder("raw", 1)
    found = image.summarise(pa.table({"scan": [one.tobytes() for one in pixels]}))
    assert image.watched == tuple(found.column_names) == ("scan.brightness", "scan.contrast")
    np.testing.assert_allclose(found["scan.brightness"], pixels.mean(axis=(1, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(found["scan.contrast"], pixels.std(axis=(1, 2, 3)), atol=1e-9)
    assert image.summarise(pa.table({"scan": pa.array([], pa.binary())})).num_rows == 0


def test_an_image_with_another_tensors_name_stops_at_synth() -> None:
    rules = (ImageFormat(encoding="raw", shape=(1, 1, 1)),)
    column = Column(name="numbers", kind="binary", required=True, rules=rules)
    with pytest.raises(WorkloadError, match="another name than numbers"):
        catalogue.declare([Feature(name="numbers")], Table(name="rows", columns=(column,)))


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
@pytest.mark.parametrize("storage", [pa.binary(), pa.large_binary()])
def test_an_image_that_may_be_missing_is_black_on_every_road(encoding: Encoding, storage: pa.DataType) -> None:
    cells = [packed(noise(1), encoding), None, packed(noise(1, seed=1), encoding)]
    rows, image = pa.table({"scan": pa.array(cells, storage)}), encoder(encoding, 1, required=False)
    whole, (decoded, taken_N) = image.encode(rows), image.decode(rows)
    assert taken_N.all()
    assert not whole[1].any()
    np.testing.assert_array_equal(decoded, whole)
    for pixels, cell in zip(whole, cells, strict=True):
        np.testing.assert_array_equal(pixels, image.encode_one({"scan": cell}))
    assert not image.encode(rows.slice(1, 1)).any()
    assert image.decode(pa.table({"scan": [None, "text"]}))[1].tolist() == [False, False]
    assert image.takes(pa.table({"scan": pa.array([b"none", None], storage)})).tolist() == [False, True]


def test_data_that_pillow_trips_over_is_no_image() -> None:
    """An empty `iCCP` chunk behind the data: Pillow raises IndexError."""
    good = packed(noise(1), "png")
    chunk = b"\0\0\0\0iCCP" + crc32(b"iCCP").to_bytes(4, "big")
    crafted, image = good[:-12] + chunk + good[-12:], encoder("png", 1)
    rows = pa.table({"scan": pa.array([good, crafted], pa.binary())})
    assert image.takes(rows).tolist() == [True, False]
    with pytest.raises(ValueError, match="PNG data of 5 x 7 pixels"):
        image.encode_one({"scan": crafted})


def test_rows_whose_image_cannot_be_decoded_are_named() -> None:
    for kind in (pa.binary(), pa.large_binary()):
        for encoding in ENCODINGS:
            good = packed(noise(1), encoding)
            rows = pa.table({"scan": pa.array([good[:30], good], kind)})
            assert catalogue.decodable((encoder(encoding, 1),), rows).tolist() == [False, True], (kind, encoding)


def test_a_png_with_one_altered_bit_is_no_image() -> None:
    """Wherever the bit is: each chunk has a checksum; the last one, which ends the file, holds nothing."""
    content = packed(noise(1), "png")
    encoder = Image(name="scan", encoding="png", shape=(1, 5, 7))
    assert encoder.encode_one({"scan": content}).shape == (1, 5, 7)
    for place in range(8, len(content) - len(b"....IEND....")):
        altered = bytearray(content)
        altered[place] ^= 4
        with pytest.raises(ValueError, match="PNG data"):
            encoder.encode_one({"scan": bytes(altered)})


@pytest.mark.parametrize("is_text", [False, True], ids=["table", "request"])
def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded(is_text: bool) -> None:
    """By the rule of the contract: each scan is decoded over all pixels, and takes 20 bytes."""
    plain = builders.picture(Picture.fromarray(noise(3).transpose(1, 2, 0)), "JPEG", progressive=True)
    start = plain.rindex(b"\xff\xda")
    more = SCANS - plain.count(b"\xff\xda")
    most, one_more = (plain[:start] + plain[start:-2] * (1 + count) + plain[-2:] for count in (more, more + 1))
    image = encoder("jpeg", 3)
    if is_text:
        assert image.encode_one({"scan": base64.b64encode(most).decode()}).shape == (3, 5, 7)
        with pytest.raises(ValueError, match="JPEG data"):
            image.encode_one({"scan": base64.b64encode(one_more).decode()})
    else:
        cells = pa.table({"scan": pa.array([plain, most, one_more], pa.binary())})
        assert image.takes(cells).tolist() == [True, True, False]
