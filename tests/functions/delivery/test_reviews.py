"""Of a delivered file the rows that a person decides are opened: bounded, the most important first."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.decisions.scored import ScoredDay
from millrace.functions.delivery.reviews import open_reviews
from millrace.state.reviews import ReviewQueue
from millrace.timestamps import parse_utc
from millrace.workload.policy import Review
from tests.millrace.state.conftest import NAMES, client

AT = parse_utc("1997-06-01T06:00:00Z")
DAY = date(1997, 6, 1)
__all__ = ["client"]


@pytest.fixture
def file(tmp_path: Path) -> str:
    reasons = ["sure", "unsure", "paused", "above_bound", "unsure", "unsure"]
    rows = {
        "at": pa.array([AT.replace(hour=hour, tzinfo=None) for hour in range(6)], pa.timestamp("us")),
        "scan": pa.array([b"bytes"] * 6, pa.binary()),
        "value": pa.array([1] * 6, pa.int32()),
        "confidence": pa.array([0.5 + n / 100 for n in range(6)], pa.float64()),
        "model_version": pa.array(["3"] * 6),
        "row_number": pa.array(range(2, 8), pa.int64()),
        "action": pa.array(["automated", *["review"] * 5]),
        "reason": pa.array(reasons),
    }
    path = tmp_path / "delivered.parquet"
    pq.write_table(pa.table(rows), path, row_group_size=2, write_page_checksum=True)
    return str(path)


@pytest.mark.parametrize(
    ("most", "opened"), [(10, ["x-5", "x-3", "x-6", "x-7", "x-4"]), (2, ["x-5", "x-3"])], ids=["all", "some"]
)
def test_the_first_by_priority_are_opened_and_the_others_counted(
    client: Any, file: str, most: int, opened: list[str]
) -> None:
    queue = ReviewQueue(client, NAMES)
    known = ScoredDay(
        source="s3://landing/electricity/scoring/x",
        source_digest="9f",
        run="9c2e",
        first_shard=0,
        shards=1,
        rows=6,
        inferred_at=AT,
        phase="live",
        key=("at",),
        event_time="at",
        answer=("value", "confidence"),
        beside=("action", "reason"),
    )
    given: dict[str, Any] = {"workload": "electricity", "drop_id": "x", "review": Review(), "opened_at": AT}
    assert open_reviews(queue, file, {DAY: known}, most=most, **given) == 5 - len(opened)
    found = queue.waiting(most=9, now=AT)
    assert [item.id for item in found] == opened
    assert [item.source for item in found] == ["batch"] * len(opened)
    assert '"scan"' not in found[0].input
    assert found[0].event_time.isoformat() == "1997-06-01T03:00:00+00:00"
