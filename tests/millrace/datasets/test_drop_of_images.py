"""A dropped image is judged as the model judges it: by its header, then by its data, with the same decoder."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Picture

from millrace.contract.row import check_row
from millrace.contract.rules.image import ImageFormat
from millrace.contract.rules.pixels import Encoding
from millrace.contract.schema import LINE, Column, Table, parsed_schema
from millrace.datasets.new_rows import screen
from millrace.datasets.quarantine import QuarantineFile
from millrace.features.image import Image

SHAPE = (3, 12, 12)


def table(encoding: Encoding) -> Table:
    scan = Column(name="scan", kind="binary", rules=(ImageFormat(encoding=encoding, shape=SHAPE),))
    return Table(name="rows", columns=(Column(name="id", kind="string", required=True), scan), keys=(("id",),))


def noise(encoding: Encoding) -> bytes:
    file = BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Picture.fromarray(pixels).save(file, encoding)
    return file.getvalue()


def dropped(cells: list[tuple[str, bytes | None]], encoding: Encoding, folder: Path) -> tuple[list[int], pa.Table]:
    """The lines that are accepted, and the rows that are refused."""
    judged, accepted = table(encoding), []
    rows = [{"id": key, "scan": cell, LINE: line} for line, (key, cell) in enumerate(cells, 1)]
    pq.write_table(pa.Table.from_pylist(rows, schema=parsed_schema(judged)), folder / "parsed")
    with QuarantineFile(folder / "refused", drop_id="r", source="s", as_of=datetime(2024, 1, 1, tzinfo=UTC)) as refused:
        screen(folder / "parsed", judged, lambda part: accepted.extend(part[LINE].to_pylist()), refused)
    return accepted, pq.read_table(folder / "refused")


def test_an_image_that_is_cut_off_does_not_use_up_its_key(tmp_path: Path) -> None:
    good = noise("jpeg")
    accepted, refused = dropped([("a", good[:-100]), ("a", good), ("b", None)], "jpeg", tmp_path)
    assert (accepted, refused["reason"].to_pylist()) == ([2, 3], ["image"])


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_a_drop_and_a_prediction_have_the_same_verdict_on_altered_images(encoding: Encoding, tmp_path: Path) -> None:
    """A prediction is judged by the header in the function, then by the data in the model's container."""
    good, rng = noise(encoding), np.random.default_rng(7)
    cells = [good, b""]
    for _ in range(300):
        altered = bytearray(good)
        altered[rng.integers(len(good))] ^= 1 << int(rng.integers(8))
        cells += [bytes(altered), good[: rng.integers(len(good))], good + bytes(altered)]
    accepted, refused = dropped([(f"{at}", cell) for at, cell in enumerate(cells)], encoding, tmp_path)
    model = Image(name="scan", encoding=encoding, shape=SHAPE)

    def predicted(cell: bytes) -> bool:
        row = {"id": "a", "scan": base64.b64encode(cell).decode()}
        return not check_row(row, table(encoding)) and bool(model.takes(pa.table({"scan": [cell]}))[0])

    expected = [line for line, cell in enumerate(cells, 1) if predicted(cell)]
    assert accepted == expected
    assert len(accepted) + refused.num_rows == len(cells)
    assert 100 < len(accepted) < len(cells) - 100, "some of them are good"
