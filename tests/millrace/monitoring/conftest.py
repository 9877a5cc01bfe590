"""The sample's real rows, cut by time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from millrace.features.catalogue import Features
from millrace.features.number import Number
from millrace.monitoring.baseline import Baseline, build
from millrace.monitoring.error import error_bound
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload
from tests.shipped import ELECTRICITY

Cut = Callable[[datetime, datetime], pa.Table]
START, END = datetime.fromisoformat("1996-01-01"), datetime.fromisoformat("1997-01-01")


@pytest.fixture(scope="session")
def workload() -> Workload:
    return load_workload(ELECTRICITY)


@pytest.fixture(scope="session")
def between() -> Cut:
    """The rows with start <= timestamp < end."""
    table = pq.read_table(ELECTRICITY / "sample" / "elec2.parquet")
    times = table["timestamp"]

    def cut(start: datetime, end: datetime) -> pa.Table:
        first, last = pa.scalar(start, times.type), pa.scalar(end, times.type)
        return table.filter(pc.and_(pc.greater_equal(times, first), pc.less(times, last)))

    return cut


def numbers(workload: Workload) -> Features:
    """All features of electricity are."""
    return tuple(Number(name=name) for name in workload.prediction.feature_columns)


@pytest.fixture(scope="session")
def baseline(between: Cut, workload: Workload) -> Baseline:
    """Of 1996 only."""
    error = error_bound([[0.1 + 0.01 * (k % 7) for k in range(50)]], windows=3, rate=0.01)
    return build(between(START, END), workload=workload, features=numbers(workload), error=error)
