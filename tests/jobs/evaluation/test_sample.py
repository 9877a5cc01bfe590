"""The probe's rows: real, spread over the test days, each with its own probability."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from jobs.evaluation.sample import ROWS, write_sample


@pytest.mark.parametrize("count", [1, 5, ROWS, 1344])
def test_rows_and_probabilities_belong_together(tmp_path, count):
    test = pa.table({"class": [0] * count, "b": np.arange(count) / 7, "a": np.arange(count)})
    p_T = (np.arange(count) / count).astype(np.float32)
    write_sample(tmp_path / "sample.json", test, ("a", "b"), p_T)
    document = json.loads((tmp_path / "sample.json").read_text())
    assert len(document["rows"]) == len(document["probabilities"]) == min(ROWS, count)
    assert document["probabilities"] == [float(p_T[row["a"]]) for row in document["rows"]]
    assert (document["rows"][0]["a"], document["rows"][-1]["a"]) == (0, count - 1)
    assert all(list(row) == ["a", "b"] for row in document["rows"])


def test_a_value_that_is_no_number_is_refused(tmp_path):
    test = pa.table({"a": [float("nan")]})
    with pytest.raises(ValueError, match="JSON"):
        write_sample(tmp_path / "sample.json", test, ("a",), np.zeros(1, np.float32))
