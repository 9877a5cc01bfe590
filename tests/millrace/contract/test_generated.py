"""A drop and a request fill generated columns by one rule."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from millrace.contract.schema import LINE, Column, Table
from millrace.decisions.road import complete
from millrace.files.origin import Origin, fill_generated

AT = datetime(2024, 1, 8, 9, 30, tzinfo=UTC)
ARROW = {"string": pa.string(), "timestamp": pa.timestamp("us"), "timestamp_utc": pa.timestamp("us", "UTC")}


@pytest.mark.parametrize(
    ("generated", "kind"),
    [
        ("row_id", "string"),
        ("event_time", "timestamp"),
        ("event_time", "timestamp_utc"),
        ("row_order", "timestamp"),
        ("row_order", "timestamp_utc"),
    ],
)
def test_a_request_has_the_cells_of_a_drop_with_its_rows(generated: Any, kind: Any) -> None:
    """Of a drop that came at the same time, and whose digest is the call's id."""
    table = Table(name="rows", columns=(Column(name="made", kind=kind, generated=generated),), keys=())
    rows = pa.table({"made": pa.nulls(3, ARROW[kind]), LINE: pa.array([0, 1, 2], pa.int64())})
    origin = Origin(name="a.csv", at=AT, digest="ab" * 8, fetch=lambda key, version: b"")
    dropped = fill_generated(rows, table, origin)["made"].to_pylist()
    asked = [row["made"] for row in complete([{}] * 3, table, at=AT, ids=[f"{'ab' * 8}-{row}" for row in range(3)])]
    assert asked == [cell if isinstance(cell, str) else cell.isoformat() for cell in dropped]
    assert len(set(asked)) == (1 if generated == "event_time" else 3)
