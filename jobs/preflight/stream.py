"""Writes the rows of a request as the Arrow stream in which a batch transform sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from millrace.artefact.batch import ROW, write_stream

if TYPE_CHECKING:
    from millrace.features.catalogue import Features
    from millrace.features.encoder import Rows


def as_stream(rows: Rows, features: Features) -> bytes:
    """The rows, numbered from 1. Their cells are JSON and get the types that a contract gives to their columns."""
    columns = {ROW: pa.array(range(1, len(rows) + 1), pa.int64())}
    for encoder in features:
        columns |= {name: encoder.to_arrow(name, rows) for name in encoder.inputs}
    return write_stream(pa.table(columns).combine_chunks().to_batches())
