"""The answers of a batch, of a version that was trained before its workload declared costs, or while it did."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from millrace.artefact.batch import read_answers, write_answers
from millrace.errors import AnswerError
from millrace.tasks.binary import Binary

PLAIN, COSTS = Binary(), Binary(threshold=0.25, costs=((0.0, 1.0), (3.0, 0.0)))


def written(task: Binary) -> bytes:
    answers = task.answers(np.array([[0.1], [0.6]], np.float32))
    measured = {**answers, "likeness": np.array([0.5, 0.5])}
    return write_answers(pa.array([1, 2]), measured, model_version="3", fields=task.answer)


@pytest.mark.parametrize("by", [PLAIN, COSTS])
@pytest.mark.parametrize("now", [PLAIN, COSTS])
def test_an_answer_has_the_fields_that_are_declared_now(by: Binary, now: Binary) -> None:
    found = read_answers(written(by), model_version="3", fields=now.answer)
    assert found.column_names == ["row_number", *(field.name for field in now.answer), "likeness"]
    if now.costs:
        expected = pytest.approx([0.3, 0.4]) if by.costs else [None, None]
        assert found["expected_cost"].to_pylist() == expected


def test_any_other_field_is_refused() -> None:
    with pytest.raises(AnswerError, match="expected the columns"):
        read_answers(written(COSTS), model_version="3", fields=COSTS.answer[1:])
