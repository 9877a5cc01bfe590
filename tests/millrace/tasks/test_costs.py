"""The answer with the least expected cost, for two classes and for several."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.tasks.answer import EXPECTED_COST
from millrace.tasks.costs import expected_costs
from millrace.tasks.multiclass import Multiclass

COSTS_KA = ((0.0, 5.0, 7.0), (1.0, 0.0, 2.0), (40.0, 10.0, 0.0))
CLASSES = Multiclass(classes=("a", "b", "c"), costs=COSTS_KA)


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
