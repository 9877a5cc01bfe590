"""Embedded numbers and categories, heads and the skip: what the tests of every family say, of each of these too."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from sklearn.tree import DecisionTreeRegressor

from millrace.errors import TrainingError
from millrace.features.signature import TensorSpec
from millrace.models.export import export
from millrace.models.feedforward.declaration import Feedforward
from millrace.models.label_scale import LabelScale, correcting_factor
from millrace.models.likeness import states
from millrace.models.numbers import PiecewiseLinear
from millrace.models.predictor import Predictor, build
from millrace.tasks.binary import Binary
from millrace.tasks.catalogue import TASKS
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
from tests.plant import write_plant

VARIANTS: dict[str, dict[str, Any]] = {
    "pieces": {"numbers": "piecewise_linear", "pieces": 6},
    "one piece": {"numbers": "piecewise_linear", "pieces": 1},
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


@pytest.mark.parametrize("variant", ["pieces", "all"])
def test_the_graph_answers_as_torch_does(variant: str) -> None:
    """From an untrained network: what is fitted comes in by name, as the weights do."""
    graph = export(build(Feedforward(**VARIANTS[variant]), SIGNATURES[0], MULTICLASS.objective), SIGNATURES[0])
    predictor, rows = fitted(variant), make_rows(5)
    np.testing.assert_allclose(run(graph, predictor, rows), of(predictor, rows), rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", ["pieces", "all"])
def test_a_missing_number_is_a_value_of_its_own(variant: str) -> None:
    predictor, rows = fitted(variant), make_rows()
    seen = of(predictor, rows)
    for known in np.nanquantile(rows["numbers"][:, MISSING], (0, 0.5, 1)):
        filled = make_rows()
        filled["numbers"][::3, MISSING] = known
        assert np.abs(of(predictor, filled) - seen)[::3].max() > 1e-4


def test_a_column_of_which_nothing_is_known_has_no_say() -> None:
    optional = TensorSpec(name="numbers", dtype="float32", shape=(7,), optional=(True,) * 7)
    rows = make_rows()["numbers"]
    rows[:, 0] = np.nan
    predictor = build(Feedforward(**VARIANTS["pieces"]), (optional,), Binary().objective)
    predictor.fit(of_torch({"numbers": rows}), TARGET_N.float())
    assert np.isfinite(of(predictor.eval(), {"numbers": rows})).all()


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


LABELS = torch.tensor([0.0, 1.0, 2.0, 5.0, 40.0, 900.0])
ONE = torch.tensor(1.0)


@pytest.mark.parametrize("kind", ["identity", "log"])
def test_a_label_comes_back_from_its_scale(kind: str) -> None:
    for labels in (LABELS, LABELS + 3):
        scale = LabelScale(kind)  # type: ignore[arg-type]
        scale.fit(labels)
        standard = scale.standardised(labels)
        assert float(standard.mean()) == pytest.approx(0, abs=1e-6)
        assert float(standard.std(correction=0)) == pytest.approx(1, rel=1e-5)
        torch.testing.assert_close(scale.answer(standard[:, None], ONE)[:, 0], labels, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["identity", "log"])
@pytest.mark.parametrize("raw", [-1e6, -40.0, 40.0, 1e6])
def test_no_answer_leaves_the_declared_bounds(kind: str, raw: float) -> None:
    scale = LabelScale(kind)  # type: ignore[arg-type]
    scale.bound(0.0, 1000.0)
    scale.fit(LABELS)
    assert 0 <= float(scale.answer(torch.tensor([[raw]]), torch.tensor(2.0))) <= 1000


def test_a_number_far_beyond_the_training_answers_within_reach_of_its_labels() -> None:
    scale = LabelScale("log")
    scale.fit(LABELS)
    assert float(scale.answer(torch.tensor([[1e6]]), ONE)) < 2 * float(LABELS.max())


def test_a_negative_label_has_no_such_scale() -> None:
    with pytest.raises(TrainingError, match="label_scale log"):
        LabelScale("log").fit(torch.tensor([3.0, -1.0]))


def test_a_validation_label_below_all_others_has_a_finite_target() -> None:
    scale = LabelScale("log")
    scale.fit(LABELS + 5)
    assert torch.isfinite(scale.standardised(torch.tensor([0.0, -3.0]))).all()


def test_the_factor_is_the_one_of_least_squares_within_its_bounds() -> None:
    answers, labels = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([1.5, 2.0, 5.0])
    best = float((answers[:, 0] * labels).sum() / answers.square().sum())
    assert correcting_factor([(answers[:2], labels[:2]), (answers[2:], labels[2:])]) == pytest.approx(best)
    assert correcting_factor([(answers, 9 * labels)]) == 2.0
    assert correcting_factor([(answers, 0 * labels)]) == 0.5
    assert correcting_factor([(0 * answers, labels)]) == 1.0


LOWEST, HIGHEST = -3.5, 40.0
"""The bounds of the contract for numbers."""
NEAR_ONE = np.float32(17.84)
"""From here to 17.96 the float32 `Sigmoid` of ONNX Runtime 1.31.1 is above 1 for 12 of 60,000 inputs."""
PASS = 250_000


class Raw(torch.nn.Module):
    """A network, or trees, whose raw numbers are what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(1.0))

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers


def graph(objective: Objective, trees: str) -> bytes:
    predictor = Predictor(Raw(), objective, trees=None if trees == "none" else Raw())  # type: ignore[arg-type]
    predictor.is_trees_alone = trees == "alone"
    predictor.label.bound(LOWEST, HIGHEST)
    return export(predictor, (TensorSpec(name="numbers", dtype="float32", shape=(objective.width,)),))


def drawn(rows: int, width: int, seed: int) -> npt.NDArray[np.float32]:
    """Raw numbers: half of them are neighbours from NEAR_ONE on, the others of any size, and a few are no numbers."""
    rng = np.random.default_rng(seed)
    half = rows // 2
    bits = NEAR_ONE.view(np.int32) + seed * half + np.arange(half, dtype=np.int32)
    near_NW = np.repeat(bits.view(np.float32)[:, None], width, axis=1)
    far_NW = 10.0 ** rng.uniform(-3, 38, (rows - half, width)) * rng.choice([-1, 1], (rows - half, width))
    raw_NW = np.concatenate([near_NW, far_NW.astype(np.float32)])
    raw_NW[:: rows // 7] = np.nan
    return raw_NW


def answers(content: bytes, raw_NW: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found: npt.NDArray[np.float32] = session.run(["output"], {"numbers": raw_NW})[0]
    return found


@pytest.mark.parametrize(
    ("trees", "rows"),
    [
        ("mean", 100_000),
        *(
            pytest.param(trees, 10_000_000, marks=pytest.mark.night("ten million rows of each task take minutes"))
            for trees in ("none", "alone", "mean")
        ),
    ],
)
@pytest.mark.parametrize("task", TASKS)
def test_every_answer_is_in_its_range_or_no_number(task: str, trees: str, rows: int, tmp_path: Path) -> None:
    """What is no number stays none: it is refused, and not answered with a bound."""
    objective = write_plant(tmp_path, task).task.objective
    served = graph(objective, trees)
    low, high = objective.bounds or (LOWEST, HIGHEST)
    for seed in range(max(1, rows // PASS)):
        raw_NW = drawn(min(rows, PASS), objective.width, seed)
        output_NW = answers(served, raw_NW)
        unknown_N = np.isnan(raw_NW).all(axis=1)
        assert np.isnan(output_NW[unknown_N]).all()
        known_NW = output_NW[~unknown_N]
        assert low <= known_NW.min()
        assert known_NW.max() <= high
