"""Texts in requests: the same tensors from JSON and from an Arrow stream, and what is watched of each."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.artefact.batch import CONTENT_TYPE, write_stream
from millrace.features.text import Text
from millrace.jobs.serving.rows import RowReader

TEXTS = ["Book a table", None, "", "zwölf Ämter, 12!"]
FEATURES = (Text(name="text", optional=True).fit(pa.table({"text": ["book a table for two", "zwölf"]})),)


def as_stream(texts: pa.Array) -> bytes:
    return write_stream(pa.table({"row_number": pa.array(range(len(texts)), pa.int64()), "text": texts}).to_batches())


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_a_stream_has_the_tensors_of_the_same_rows_in_json(kind: pa.DataType) -> None:
    reader = RowReader(FEATURES, arrow=True)
    body = json.dumps({"rows": [{"text": text} for text in TEXTS]}).encode()
    found = reader.together([reader.read(body, "application/json")])
    stream = reader.together([reader.read(as_stream(pa.array(TEXTS, kind)), CONTENT_TYPE)])
    np.testing.assert_array_equal(found["text"], stream["text"])
    assert found["text"].dtype == stream["text"].dtype == np.int64


@pytest.mark.parametrize("cell", [3, True, ["book"], {"text": "book"}])
def test_a_cell_that_is_no_text_is_rejected_by_name(cell: Any) -> None:
    found = RowReader(FEATURES).read(json.dumps({"rows": [{"text": cell}]}).encode(), "application/json")
    assert (found.rejected[0]["column"], found.rejected[0]["expected"]) == ("text", "text")
