"""The rows of a request as the Arrow stream in which a batch transform sends them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from millrace.artefact.batch import ROW, write_stream
from millrace.errors import PreflightError
from millrace.features.boolean import Boolean
from millrace.features.calendar import Calendar
from millrace.features.category import Category
from millrace.features.free_text import FreeText
from millrace.features.history import History
from millrace.features.image import Image
from millrace.features.number import Number

if TYPE_CHECKING:
    from millrace.features.catalogue import Features
    from millrace.features.encoder import Encoder

    Rows = Sequence[Mapping[str, Any]]


def as_stream(rows: Rows, features: Features) -> bytes:
    """The rows, numbered from 1: cells of JSON in the types that a contract gives to their columns.

    Raises PreflightError for an encoder whose cells have none here."""
    columns = {ROW: pa.array(range(1, len(rows) + 1), pa.int64())}
    for encoder in features:
        columns |= {name: _column(name, encoder, rows) for name in encoder.inputs}
    return write_stream(pa.table(columns).combine_chunks().to_batches())


def _column(name: str, encoder: Encoder, rows: Rows) -> pa.Array:
    cells = [row[name] for row in rows]
    if isinstance(encoder, History) and name == encoder.name:
        steps = np.concatenate([encoder.encode_one(row).reshape(-1) for row in rows])
        numbers = pa.array(steps, pa.float32(), from_pandas=True)  # NaN becomes null
        return pa.FixedSizeListArray.from_arrays(numbers, encoder.steps * len(encoder.history))
    if isinstance(encoder, Calendar) or (isinstance(encoder, History) and name == encoder.event_time):
        return _times(cells)
    if isinstance(encoder, Image):
        return pa.array([None if cell is None else base64.b64decode(cell) for cell in cells], pa.binary())
    if isinstance(encoder, Boolean):
        return pa.array(cells, pa.bool_())
    if isinstance(encoder, Category | FreeText):
        return pa.array(cells, pa.string())
    if isinstance(encoder, Number | History):
        return pa.array(cells, pa.float64())
    raise PreflightError(f"{name}: expected an encoder whose cells have a type in a stream, got {encoder.kind}")


def _times(cells: Sequence[str | None]) -> pa.Array:
    times = [None if cell is None else datetime.fromisoformat(cell) for cell in cells]
    is_utc = any(time is not None and time.tzinfo is not None for time in times)
    return pa.array(times, pa.timestamp("us", "UTC" if is_utc else None))
