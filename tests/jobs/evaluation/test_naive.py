from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jobs.evaluation.naive import base_rate_log_loss, naive_accuracy
from millrace.errors import SnapshotError
from millrace.workload.declaration import BaseRate, Workload
from millrace.workload.load import load_workload

START = datetime.fromisoformat("1996-12-01")


@pytest.fixture
def workload() -> Workload:
    return load_workload(Path(__file__).resolve().parents[3] / "workloads" / "electricity")


def table(labels: list[int], hours: list[float]) -> pa.Table:
    return pa.table({"timestamp": [START + timedelta(hours=h) for h in hours], "class": labels})


def test_the_label_of_a_day_before_is_the_forecast(workload: Workload) -> None:
    rows = table([1, 0, 1, 1, 0, 0], [0, 12, 24, 36, 48, 60])
    assert naive_accuracy(rows, workload, slice(2, 6)) == 0.25


def test_rows_without_a_day_before_them_do_not_count(workload: Workload) -> None:
    assert naive_accuracy(table([1, 1, 0], [0, 24, 30]), workload, slice(1, 3)) == 1.0


def test_without_any_such_row_there_is_no_baseline(workload: Workload) -> None:
    with pytest.raises(SnapshotError, match="got none"):
        naive_accuracy(table([1, 1], [0, 5]), workload, slice(1, 2))


def test_each_entity_has_its_own_yesterday(workload: Workload) -> None:
    surface = workload.prediction.model_copy(update={"key": ("timestamp", "site")})
    rows = table([0, 1, 0, 1], [0, 0, 24, 24]).append_column("site", pa.array(["a", "b", "a", "b"]))
    assert naive_accuracy(rows, workload.model_copy(update={"prediction": surface}), slice(2, 4)) == 1.0


def test_the_class_of_most_rows_before_the_test_days_is_the_forecast(workload: Workload) -> None:
    gates = workload.gates.model_copy(update={"baseline": BaseRate(kind="base_rate", margin=0)})
    rows = table([0, 0, 1, 1, 1, 0, 1], [0, 1, 2, 3, 4, 5, 6])
    assert naive_accuracy(rows, workload.model_copy(update={"gates": gates}), slice(3, 7)) == 0.25


def test_the_base_rate_answers_the_share_of_positive_rows_before_the_test_days() -> None:
    y_N = np.array([1, 0, 0, 0, 1, 0], np.float32)
    assert base_rate_log_loss(y_N, slice(4, 6)) == pytest.approx(-(math.log(0.25) + math.log(0.75)) / 2)
