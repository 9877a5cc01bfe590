"""An image that cannot be decoded costs its own row only; each image is decoded once and measured on the way."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as Picture

from millrace.artefact.batch import CONTENT_TYPE, read_answers, write_stream
from millrace.contract.rules.pixels import decode
from millrace.features import catalogue as encoders
from millrace.features.image import Image
from millrace.features.number import Number
from millrace.jobs.serving.application import Application
from millrace.jobs.serving.rows import RowReader
from millrace.jobs.serving.server import Request
from millrace.jobs.serving.settings import Settings
from millrace.tasks.binary import Binary
from tests import builders

SCAN = Image(name="scan", encoding="png", shape=(1, 4, 4))
FEATURES = (SCAN, Number(name="age"))
JSON, LINES = "application/json", "application/jsonlines"


def scan(brightness: int) -> bytes:
    file = BytesIO()
    Picture.fromarray(np.full((4, 4), brightness, np.uint8)).save(file, "PNG")
    return file.getvalue()


GOOD = [scan(50), scan(100), scan(200)]
CUT = GOOD[1][:45]
"""A whole header, so that the contract takes it, and half of the data."""


class Brightness:
    """A model that answers with the brightness of the scan."""

    measures_likeness = False
    description: Any = SimpleNamespace(
        features=FEATURES, signature=encoders.signature(FEATURES), task=Binary(), explained=None
    )

    def outputs(self, tensors: Any) -> Any:
        return (tensors["scan"].reshape(len(tensors["scan"]), -1).mean(axis=1, keepdims=True) / 255).astype(np.float32)


@pytest.fixture
def application() -> Application:
    return Application(Brightness(), Settings(model_version="3", batch=True))  # type: ignore[arg-type]


CUT_IS = f"a PNG of 4 x 4 pixels, 1 x 8 bits, {len(CUT)} bytes, cut off"


def as_json(*cells: bytes) -> Request:
    found = [{"scan": base64.b64encode(cell).decode(), "age": 3} for cell in cells]
    return builders.invocation(json.dumps({"rows": found}).encode(), JSON)


def as_stream(*cells: bytes) -> Request:
    columns = {
        "row_number": pa.array(range(5, 5 + len(cells)), pa.int64()),
        "scan": pa.array(cells, pa.binary()),
        "age": pa.array([3.0] * len(cells)),
    }
    return builders.invocation(write_stream(pa.table(columns).to_batches()), CONTENT_TYPE)


def test_a_request_with_a_corrupt_image_has_an_answer_to_every_other_row(application: Application) -> None:
    [answer] = application.answer([as_json(GOOD[0], CUT, GOOD[2])])
    assert answer.status == 200
    first, second, third = json.loads(answer.body)["predictions"]
    assert [round(one["probability"] * 255) for one in (first, third)] == [50, 200]
    assert second["rejected"]["column"] == "scan"
    assert second["rejected"]["expected"] == "PNG data of 4 x 4 pixels"
    assert second["rejected"]["came"] == CUT_IS


def test_an_answer_says_what_is_watched_of_its_image(application: Application) -> None:
    [answer] = application.answer([as_json(GOOD[0], CUT, GOOD[2])])
    found = json.loads(answer.body)["predictions"]
    assert [one.get("watched") for one in found] == [
        {"scan.brightness": 50, "scan.contrast": 0},
        None,
        {"scan.brightness": 200, "scan.contrast": 0},
    ]


def test_a_stream_is_answered_row_by_row_too(application: Application) -> None:
    [answer] = application.answer([as_stream(CUT, GOOD[0], GOOD[1])])
    table = read_answers(answer.body, model_version="3", fields=Binary().answer)
    assert table["row_number"].to_pylist() == [5, 6, 7]
    assert [None if p is None else round(p * 255) for p in table["probability"].to_pylist()] == [None, 50, 100]
    assert table["rejected"].to_pylist() == [
        {"column": "scan", "expected": "PNG data of 4 x 4 pixels", "came": CUT_IS},
        None,
        None,
    ]


def test_a_stream_decodes_each_image_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[object] = []

    def counting(content: Any, *how: Any) -> Any:
        decoded.append(content)
        return decode(content, *how)

    monkeypatch.setattr("millrace.features.image.decode", counting)
    found = RowReader(FEATURES, arrow=True).read(as_stream(*GOOD).body, CONTENT_TYPE)
    assert len(found) == len(decoded) == 3
