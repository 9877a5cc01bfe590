"""The smoke test's rows: real, spread over the test days, each with its own answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.evaluation.sample import Sample
from millrace.jobs.evaluation.sample import ROWS, write_sample
from millrace.tasks.binary import Binary
from millrace.tasks.multiclass import Multiclass


def model(*columns: str, task: Any = Binary()) -> Any:  # noqa: B008  (frozen)
    return SimpleNamespace(inputs=columns, task=task)


@pytest.mark.parametrize("count", [1, 5, ROWS, 1344])
def test_rows_and_answers_belong_together(tmp_path, count):
    test = pa.table({"class": [0] * count, "b": np.arange(count) / 7, "a": np.arange(count)})
    p_T = (np.arange(count) / count).astype(np.float32)
    write_sample(tmp_path / "sample.json", test, model("a", "b"), p_T[:, None])
    sample = Sample.model_validate_json((tmp_path / "sample.json").read_text())
    assert len(sample.rows) == len(sample.answers) == min(ROWS, count)
    assert [one["probability"] for one in sample.answers] == [float(p_T[row["a"]]) for row in sample.rows]
    assert (sample.rows[0]["a"], sample.rows[-1]["a"]) == (0, count - 1)
    assert all(list(row) == ["a", "b"] for row in sample.rows)


def test_a_class_is_named_and_a_time_is_text(tmp_path):
    test = pa.table({"at": pa.array([0], pa.timestamp("us")), "raw": [b"\x01\xff"]})
    task = Multiclass(classes=("low", "high", "none"))
    write_sample(tmp_path / "sample.json", test, model("at", "raw", task=task), np.array([[0.1, 0.7, 0.2]], np.float32))
    sample = Sample.model_validate_json((tmp_path / "sample.json").read_text())
    assert sample.rows == ({"at": "1970-01-01T00:00:00", "raw": "Af8="},)
    assert sample.answers == ({"value": "high", "confidence": pytest.approx(0.7)},)


def test_an_answer_that_is_no_number_is_null(tmp_path):
    write_sample(tmp_path / "sample.json", pa.table({"a": [1.0]}), model("a"), np.array([[np.nan]], np.float32))
    sample = Sample.model_validate_json((tmp_path / "sample.json").read_text())
    assert sample.answers == ({"value": 0, "probability": None, "confidence": None},)


def test_a_cell_that_is_no_number_is_refused(tmp_path):
    test = pa.table({"a": [float("nan")]})
    with pytest.raises(ValueError, match="JSON"):
        write_sample(tmp_path / "sample.json", test, model("a"), np.zeros((1, 1), np.float32))
