"""The sample's real rows, cut by time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload

FOLDER = Path(__file__).resolve().parents[3] / "workloads" / "electricity"
Cut = Callable[[datetime, datetime], pa.Table]


@pytest.fixture(scope="session")
def workload() -> Workload:
    return load_workload(FOLDER)


@pytest.fixture(scope="session")
def between() -> Cut:
    """The rows with start <= timestamp < end."""
    table = pq.read_table(FOLDER / "sample" / "elec2.parquet")
    times = table["timestamp"]

    def cut(start: datetime, end: datetime) -> pa.Table:
        first, last = pa.scalar(start, times.type), pa.scalar(end, times.type)
        return table.filter(pc.and_(pc.greater_equal(times, first), pc.less(times, last)))

    return cut
