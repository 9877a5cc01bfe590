"""Embedded numbers and categories, heads and the skip: what the tests of every family say, of each of these too."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.tree import DecisionTreeRegressor

from millrace.features.signature import TensorSpec
from millrace.models.export import export
from millrace.models.feedforward.declaration import Feedforward
from millrace.models.likeness import states
from millrace.models.numbers import PiecewiseLinear
from millrace.models.predictor import Predictor, build
from millrace.tasks.binary import Binary
from millrace.tasks.task import Objective
from tests.millrace.models.test_families import (
    CATEGORIES,
    MISSING,
    MULTICLASS,
    NUMBERS,
    ROWS,
    make_rows,
    of,
    of_torch,
    run,
)

VARIANTS: dict[str, dict[str, Any]] = {
    "pieces": {"numbers": "piecewise_linear", "pieces": 6},
    "one piece": {"numbers": "piecewise_linear", "pieces": 1},
    "waves": {"numbers": "periodic", "frequencies": 5},
    "embedded": {"embed_categories": True},
    "heads": {"heads": 3, "hidden": (16, 8)},
    "skip": {"skip": True},
    "all": {"numbers": "piecewise_linear", "embed_categories": True, "heads": 4, "hidden": (16,), "skip": True},
}
SIGNATURES = ((NUMBERS, CATEGORIES), (NUMBERS,), (CATEGORIES,))
TARGET_N = torch.from_numpy(make_rows()["numbers"][:, 0]) > 3


def fitted(variant: str, signature: tuple[TensorSpec, ...] = SIGNATURES[0]) -> Predictor:
    torch.manual_seed(1)
    predictor = build(Feedforward(**VARIANTS[variant]), signature, MULTICLASS.objective)
    predictor.fit(of_torch({spec.name: make_rows()[spec.name] for spec in signature}), TARGET_N.long())
    return predictor.eval()


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param("pieces", marks=pytest.mark.night("by day the two other variants, one of which has all options")),
        "waves",
        "all",
    ],
)
def test_the_graph_answers_as_torch_does(variant: str) -> None:
    """From an untrained network: what is fitted comes in by name, as the weights do."""
    graph = export(build(Feedforward(**VARIANTS[variant]), SIGNATURES[0], MULTICLASS.objective), SIGNATURES[0])
    predictor, rows = fitted(variant), make_rows(5)
    np.testing.assert_allclose(run(graph, predictor, rows), of(predictor, rows), rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", ["pieces", "waves", "all"])
def test_a_missing_number_is_a_value_of_its_own(variant: str) -> None:
    predictor, rows = fitted(variant), make_rows()
    seen = of(predictor, rows)
    for known in np.nanquantile(rows["numbers"][:, MISSING], (0, 0.5, 1)):
        filled = make_rows()
        filled["numbers"][::3, MISSING] = known
        assert np.abs(of(predictor, filled) - seen)[::3].max() > 1e-4


def test_a_column_of_which_nothing_is_known_has_no_say() -> None:
    optional = TensorSpec(name="numbers", dtype="float32", shape=(7,), optional=(True,) * 7)
    for variant in ("pieces", "waves"):
        rows = make_rows()["numbers"]
        rows[:, 0] = np.nan
        predictor = build(Feedforward(**VARIANTS[variant]), (optional,), Binary().objective)
        predictor.fit(of_torch({"numbers": rows}), TARGET_N.float())
        before = of(predictor.eval(), {"numbers": rows})
        assert np.isfinite(before).all()


def test_pieces_end_where_a_tree_splits() -> None:
    """The reference encoding of the paper, cut at both ends: a new extreme is no more than the greatest one known."""
    x_N = np.random.default_rng(0).gamma(2, 50, 4000).astype(np.float32)
    target_N = np.sin(x_N / 40).astype(np.float32)
    numbers = PiecewiseLinear((False,), 5)
    numbers.fit(torch.from_numpy(x_N[:, None]), torch.from_numpy(target_N))
    tree = DecisionTreeRegressor(max_leaf_nodes=5, min_samples_leaf=8, random_state=0).fit(x_N[:, None], target_N).tree_
    edges = np.sort(np.r_[x_N.min(), tree.threshold[tree.children_left >= 0], x_N.max()])
    assert len(edges) == 6
    probe_M = np.linspace(-100, x_N.max() + 100, 50, dtype=np.float32)
    expected = np.stack([np.interp(probe_M, ends, [0, 1]) for ends in pairwise(edges)], axis=1)
    np.testing.assert_allclose(numbers(torch.from_numpy(probe_M[:, None])).numpy(), expected, atol=1e-4)


def test_each_head_is_trained_and_their_mean_answers() -> None:
    predictor, rows = fitted("heads"), of_torch(make_rows())
    predictor.network.dropout = 0.0
    raw_NW = predictor.network(**rows)
    raw_NKW = predictor.train().network(**rows)
    assert raw_NKW.shape == (ROWS, 3, 3)
    torch.testing.assert_close(raw_NKW.mean(1), raw_NW)
    spread = raw_NKW.std(1).mean()
    assert spread > 1e-3


@pytest.mark.parametrize("objective", [Binary().objective, MULTICLASS.objective], ids=["one number", "three"])
def test_an_answer_of_heads_is_the_same_bits_in_whatever_company_its_row_comes(objective: Objective) -> None:
    """One number out of many heads is what the engine adds in most orders. The row's distance is kept with it too."""
    torch.manual_seed(1)
    predictor = build(Feedforward(heads=8, hidden=(128,)), SIGNATURES[0], objective, measures_likeness=True)
    tensors = {spec.name: make_rows(3)[spec.name] for spec in SIGNATURES[0]}
    predictor.fit(of_torch(tensors), TARGET_N.to(torch.float32 if objective.width == 1 else torch.int64))
    assert predictor.likeness is not None
    predictor.likeness.fit(states(predictor.eval().network, [of_torch(tensors)]))
    session = onnxruntime.InferenceSession(export(predictor.eval(), SIGNATURES[0]), providers=["CPUExecutionProvider"])

    def answered(size: int) -> list[Any]:
        starts = range(0, ROWS, size)
        parts = [session.run(None, {name: value[at : at + size] for name, value in tensors.items()}) for at in starts]
        return [np.concatenate(one) for one in zip(*parts, strict=True)]

    alone = answered(1)
    assert len(alone) == 2
    for size in (2, 3, 7, 15, 16, 50, ROWS):
        for found, expected in zip(answered(size), alone, strict=True):
            np.testing.assert_array_equal(found, expected, err_msg=f"{size} rows at a time")
