"""An image that cannot be decoded costs its own row only; each image is decoded once and measured on the way."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as Picture

from millrace.artefact.batch import CONTENT_TYPE, read_answers, write_stream
from millrace.contract.rules.pixels import decode
from millrace.features import catalogue as encoders
from millrace.features.boolean import Boolean
from millrace.features.calendar import Calendar
from millrace.features.category import Category
from millrace.features.image import Image
from millrace.features.number import Number
from millrace.serving.application import Application
from millrace.serving.http import Request
from millrace.serving.refusals import Refused
from millrace.serving.rows import RowReader
from millrace.serving.settings import Settings
from millrace.tasks.binary import Binary
from tests import builders

SCAN = Image(name="scan", encoding="png", shape=(1, 4, 4))
FEATURES = (SCAN, Number(name="age"))
JSON = "application/json"


def scan(brightness: int) -> bytes:
    return builders.picture(Picture.fromarray(np.full((4, 4), brightness, np.uint8)), "PNG")


GOOD = [scan(50), scan(100), scan(200)]
CUT = GOOD[1][:45]
"""A whole header, so that the contract takes it, and half of the data."""


class Brightness:
    """A model that answers with the brightness of the scan."""

    measures_likeness = False
    description: Any = SimpleNamespace(
        features=FEATURES, signature=encoders.signature(FEATURES), task=Binary(), reference=None
    )

    def outputs(self, tensors: Any) -> Any:
        return (tensors["scan"].reshape(len(tensors["scan"]), -1).mean(axis=1, keepdims=True) / 255).astype(np.float32)

    def with_likeness(self, tensors: Any) -> Any:
        return self.outputs(tensors), {}


@pytest.fixture
def application() -> Application:
    return Application(Brightness(), Settings(model_version="3", batch=True))  # type: ignore[arg-type]


CUT_IS = f"a PNG of 4 x 4 pixels, 1 x 8 bits, {len(CUT)} bytes, cut off"


def as_json(*cells: bytes) -> Request:
    found = [{"scan": base64.b64encode(cell).decode(), "age": 3} for cell in cells]
    return builders.invocation(json.dumps({"rows": found}).encode(), JSON)


def as_stream(*cells: bytes) -> Request:
    schema = pa.schema([("row_number", pa.int64()), ("scan", pa.binary()), ("age", pa.float64())])
    return builders.invocation(stream(*({"scan": cell, "age": 3.0} for cell in cells), schema=schema), CONTENT_TYPE)


def test_a_request_with_a_corrupt_image_has_an_answer_to_every_other_row(application: Application) -> None:
    """An answer says what is watched of its image."""
    [answer] = application.answer([as_json(GOOD[0], CUT, GOOD[2])])
    assert answer.status == 200
    first, second, third = json.loads(answer.body)["predictions"]
    assert second["rejected"] == {"column": "scan", "expected": "PNG data of 4 x 4 pixels", "came": CUT_IS}
    for one, brightness in ((first, 50), (third, 200)):
        assert round(one["probability"] * 255) == brightness
        assert one["watched"] == {"scan.brightness": brightness, "scan.contrast": 0}


def test_a_stream_and_a_request_of_one_turn_do_not_mix(application: Application) -> None:
    asked = [as_json(GOOD[0], CUT), as_stream(CUT, GOOD[1])]
    assert application.answer(asked) == [answer for one in asked for answer in application.answer([one])]


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


def test_a_stream_decodes_each_image_once_and_has_the_other_cells_of_good_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[object] = []

    def counting(content: Any, *how: Any) -> Any:
        decoded.append(content)
        return decode(content, *how)

    monkeypatch.setattr("millrace.features.image.decode", counting)
    found = RowReader(FEATURES, arrow=True).read(as_stream(GOOD[0], CUT, *GOOD[1:]).body, CONTENT_TYPE)
    assert (len(found), [*found.rejected], len(decoded)) == (3, [1], 5), "the cut one again, for its words"
    assert {name: len(tensor) for name, tensor in (found.tensors or {}).items()} == {"scan": 3, "numbers": 3}


FEATURES_ARROW = (
    Number(name="whole"),
    Number(name="price"),
    Number(name="load", optional=True),
    Category(name="word", words=("a", "b", "é"), optional=True),
    Boolean(name="open"),
)
SCHEMA = pa.schema(
    [
        ("row_number", pa.int64()),
        ("open", pa.bool_()),
        ("whole", pa.int64()),
        ("price", pa.float64()),
        ("load", pa.float32()),
        ("word", pa.string()),
    ]
)
READER = RowReader(FEATURES_ARROW, arrow=True)
ROW = {"whole": 3, "price": 0.1, "load": None, "word": "a", "open": True}


def stream(*found: dict[str, Any], schema: pa.Schema = SCHEMA) -> bytes:
    cells = [{"row_number": number, **row} for number, row in enumerate(found, 5)]
    return write_stream([pa.RecordBatch.from_pylist(cells, schema=schema)])


TEXT_PRICE = SCHEMA.set(3, pa.field("price", pa.string()))
NUMBER_WORD = SCHEMA.set(5, pa.field("word", pa.int64()))


@pytest.mark.parametrize(
    ("row", "schema"), [(ROW | {"price": "1"}, TEXT_PRICE), (ROW | {"word": 1}, NUMBER_WORD)], ids=["price", "word"]
)
def test_a_column_of_another_kind_costs_every_row(row: dict[str, Any], schema: pa.Schema) -> None:
    found = READER.read(stream(row, row, schema=schema), CONTENT_TYPE)
    assert (len(found), sorted(found.rejected)) == (0, [0, 1])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"rubbish",
        stream(ROW).replace(b"price", b"pri\xffe"),
        stream(),
        stream(ROW)[:-40],
        stream(ROW, schema=SCHEMA.remove(1)),
        stream(ROW, schema=SCHEMA.append(SCHEMA.field(1))),
        stream(ROW, schema=SCHEMA.set(0, pa.field("row_number", pa.int32()))),
    ],
)
def test_another_body_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        READER.read(body, CONTENT_TYPE)
    assert refused.value.status == 400


def test_a_type_that_the_encoder_cannot_read_refuses_the_stream() -> None:
    """Its cells are good ones: no row is at fault."""
    kind = pa.dictionary(pa.int32(), pa.string())
    with pytest.raises(Refused, match="a column for the encoder category"):
        READER.read(stream(ROW, schema=SCHEMA.set(5, pa.field("word", kind))), CONTENT_TYPE)


@pytest.mark.parametrize(("unit", "ticks"), [("s", 0), ("s", 2**62), ("ms", 1), ("ns", 1), ("ns", 2**62)])
def test_times_of_another_unit_refuse_the_stream(unit: str, ticks: int) -> None:
    """One may be too far, or between two microseconds, and Python has neither."""
    reader = RowReader((Calendar(name="when", calendar="at", parts=("hour",)),), arrow=True)
    batch = pa.record_batch({"row_number": pa.array([0]), "at": pa.array([ticks], pa.timestamp(unit))})
    with pytest.raises(Refused, match=rf"row 0.when: .*a column for the encoder calendar.*timestamp\[{unit}\]"):
        reader.read(write_stream([batch]), CONTENT_TYPE)


def test_times_of_an_unknown_zone_refuse_the_stream() -> None:
    reader = RowReader((Number(name="load"),), arrow=True)
    batch = pa.record_batch({"row_number": pa.array([0]), "load": pa.array([1], pa.timestamp("us", "Nowhere/X"))})
    with pytest.raises(Refused, match=r"row 0.load: .*Nowhere/X"):
        reader.read(write_stream([batch]), CONTENT_TYPE)


def test_only_a_transform_job_reads_streams() -> None:
    with pytest.raises(Refused) as refused:
        RowReader((Number(name="a"),)).read(b"", CONTENT_TYPE)
    assert refused.value.status == 415
    assert Settings.read({"SAGEMAKER_BATCH": "true"}).batch
    assert not Settings.read({}).batch
