"""The rows of a sample as the stream of a shard: the model gets the very bits that it gets of the same rows in JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.artefact.batch import CONTENT_TYPE
from millrace.features.boolean import Boolean
from millrace.features.calendar import Calendar
from millrace.features.catalogue import ENCODERS
from millrace.features.category import Category
from millrace.features.encoder import Encoder
from millrace.features.history import History
from millrace.features.image import Image
from millrace.features.number import Number
from millrace.features.text import Text
from millrace.features.tokens import Tokens
from millrace.jobs.preflight.stream import as_stream
from millrace.jobs.serving.rows import RowReader

PIXELS = [base64.b64encode(bytes([shade] * 4)).decode() for shade in (0, 200)]
LOADS = History(name="past", history=("load", "price"), entity=(), event_time="at", steps=2, every_hours=1.0)
TIMES = ("1997-05-04T06:00:00", "1997-05-04T06:30:00")
CASES: dict[str, tuple[Encoder, list[dict[str, Any]]]] = {
    "number": (Number(name="load"), [{"load": 3}, {"load": 0.1}]),
    "a number of which none is known": (Number(name="load", optional=True), [{"load": None}, {"load": None}]),
    "boolean": (Boolean(name="open", optional=True), [{"open": True}, {"open": None}]),
    "category": (Category(name="word", words=("a", "b")), [{"word": "b"}, {"word": "a"}]),
    "a category of which none is known": (Category(name="word", words=("a",), optional=True), [{"word": None}]),
    "text": (
        Text(name="note", optional=True).fit(pa.table({"note": ["good and bad", "all well"]})),
        [{"note": "good and bad"}, {"note": ""}, {"note": None}],
    ),
    "image": (Image(name="scan", encoding="raw", shape=(1, 2, 2)), [{"scan": cell} for cell in PIXELS]),
    "an image that is missing": (
        Image(name="scan", encoding="raw", shape=(1, 2, 2), optional=True),
        [{"scan": PIXELS[1]}, {"scan": None}],
    ),
    "calendar": (Calendar(name="at", calendar="at", parts=("hour", "weekday")), [{"at": time} for time in TIMES]),
    "a calendar in UTC": (
        Calendar(name="at", calendar="at", parts=("hour",), optional=True),
        [{"at": "1997-05-04T06:00:00+00:00"}, {"at": None}],
    ),
    "a calendar of days": (Calendar(name="at", calendar="at", parts=("weekday",)), [{"at": "1997-05-04"}]),
    "history": (
        LOADS,
        [
            {"past": [1.5, None, 2.5, 3.5], "at": TIMES[0], "load": 2.5, "price": 3.5},
            {"past": [None, None, 1, 2], "at": TIMES[1], "load": None, "price": 2},
        ],
    ),
    "a history as requests write it": (
        LOADS,
        [{"past": [{"at": "1997-05-04T05:00:00", "load": 1.5, "price": 2}], "at": TIMES[0], "load": 2.5, "price": 3.5}],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_bits_are_those_of_json(case: str) -> None:
    encoder, rows = CASES[case]
    reader = RowReader((encoder,), arrow=True)
    of_json = reader.tensors(reader.read(json.dumps({"rows": rows}).encode(), "application/json").values)
    read = reader.read(as_stream(rows, (encoder,)), CONTENT_TYPE)
    assert read.tensors is not None
    assert read.tensors.keys() == of_json.keys()
    for name, tensor in of_json.items():
        np.testing.assert_array_equal(read.tensors[name], tensor)
        assert read.tensors[name].dtype == tensor.dtype
    assert read.numbers == pa.array(range(1, len(rows) + 1))
    assert not read.rejected


def test_every_encoder_has_a_case() -> None:
    tokens = {Tokens}  # the cells of a text, too
    assert {type(encoder) for encoder, _ in CASES.values()} | tokens == set(ENCODERS.values())
