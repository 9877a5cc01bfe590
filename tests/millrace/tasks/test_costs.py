"""The answer with the least expected cost, for two classes and for several."""

from __future__ import annotations

import json

import numpy as np
import pytest

from millrace.tasks.answer import EXPECTED_COST, read_answer
from millrace.tasks.binary import Binary
from millrace.tasks.catalogue import from_document, to_document
from millrace.tasks.costs import expected_costs
from millrace.tasks.multiclass import Multiclass

BINARY = Binary(positive="on", threshold=5 / 45, costs=((0.0, 5.0), (40.0, 0.0)))
COSTS_KA = ((0.0, 5.0, 7.0), (1.0, 0.0, 2.0), (40.0, 10.0, 0.0))
CLASSES = Multiclass(classes=("a", "b", "c"), costs=COSTS_KA)


def test_of_two_classes_the_cheaper_answer_is_given() -> None:
    p_N = np.linspace(0, 1, 1001).astype(np.float32)
    found = BINARY.answers(p_N[:, None])
    both_2N = np.array([p_N.astype(np.float64) * 40, (1 - p_N.astype(np.float64)) * 5])
    np.testing.assert_array_equal(found["value"], both_2N.argmin(axis=0))
    np.testing.assert_allclose(found[EXPECTED_COST], both_2N.min(axis=0), rtol=1e-12)
    assert found["value"][200] == 1, "0.2 of the positive class is enough where it costs eight times as much to miss it"
    assert found["confidence"][200] == pytest.approx(0.2)


def test_of_several_classes_the_cheapest_answer_is_given() -> None:
    p_NK = np.random.default_rng(1).dirichlet(np.full(3, 0.7), 2000).astype(np.float32)
    found = CLASSES.answers(p_NK)
    cost_NA = p_NK.astype(np.float64) @ np.array(COSTS_KA)
    said_N = cost_NA.argmin(axis=1)
    assert found["value"].tolist() == [CLASSES.classes[at] for at in said_N]
    np.testing.assert_allclose(found[EXPECTED_COST], cost_NA.min(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(found["confidence"], p_NK[np.arange(2000), said_N])
    assert (said_N != p_NK.argmax(axis=1)).mean() > 0.1, "the likeliest class is not the cheapest answer"
    target_N = np.random.default_rng(2).integers(0, 3, 2000)
    np.testing.assert_array_equal(CLASSES.errors(p_NK, target_N), said_N != target_N)


def test_calibration_looks_at_the_likeliest_class() -> None:
    p_NK = np.random.default_rng(1).dirichlet(np.full(3, 0.7), 20_000).astype(np.float32)
    target_N = (p_NK.cumsum(axis=1) < np.random.default_rng(3).random((20_000, 1))).sum(axis=1).clip(max=2)
    by_cost, by_share = (task.metrics(p_NK, target_N) for task in (CLASSES, Multiclass(classes=("a", "b", "c"))))
    assert by_cost["ece"] == by_share["ece"] == pytest.approx(0, abs=0.02)
    assert by_cost["error"] > by_share["error"] + 0.05


def test_an_expected_cost_does_not_depend_on_who_shares_its_batch() -> None:
    p_NK = np.random.default_rng(4).dirichlet(np.full(40, 0.2), 300).astype(np.float32)
    costs = tuple(map(tuple, np.random.default_rng(5).random((40, 40)).tolist()))
    together = expected_costs(p_NK, costs)
    alone = np.concatenate([expected_costs(p_NK[at : at + 1], costs) for at in range(300)])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("task", [BINARY, CLASSES])
def test_a_task_with_costs_is_kept_with_the_model(task: Binary | Multiclass) -> None:
    read = from_document(json.loads(json.dumps(to_document(task))))
    assert read == task
    assert hash(read) == hash(task)


def test_an_answer_from_before_the_costs_has_none() -> None:
    assert read_answer({"value": 1, "probability": 0.9, "confidence": 0.9}, BINARY.answer)[EXPECTED_COST] is None
    assert CLASSES.constant("b") == {"value": "b", "confidence": None, EXPECTED_COST: None}
    assert BINARY.constant(0.25) == {"value": 1, "probability": 0.25, "confidence": 0.25, EXPECTED_COST: None}
