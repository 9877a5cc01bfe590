"""The simple models learn from every kind of tensor, alike each time."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from millrace.evaluation.gates.simple import TAKES, Simple, strongest
from millrace.evaluation.simple.catalogue import SIMPLE
from millrace.evaluation.simple.matrix import matrix
from millrace.features.signature import TensorKind, TensorSpec
from millrace.tasks.binary import Binary
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.regression import Regression

ROWS, TRAIN = 1200, 900
RNG = np.random.default_rng(0)
HIDDEN = RNG.integers(0, 3, ROWS)
"""What each tensor shows, in its own way."""
TENSORS: dict[str, tuple[TensorSpec, np.ndarray]] = {
    "numbers": (
        TensorSpec(name="numbers", dtype="float32", shape=(2,), optional=(False, True)),
        np.column_stack([HIDDEN + RNG.normal(0, 0.1, ROWS), np.full(ROWS, np.nan)]).astype(np.float32),
    ),
    "missing numbers": (
        TensorSpec(name="numbers", dtype="float32", shape=(2,), optional=(True, True)),
        np.where(HIDDEN[:, None] == np.array([1, 2]), np.nan, 1.0).astype(np.float32),
    ),
    "categories": (
        TensorSpec(name="categories", dtype="int64", shape=(1,), cardinalities=(4,)),
        (HIDDEN[:, None] + 1).astype(np.int64),
    ),
    "many categories": (
        TensorSpec(name="categories", dtype="int64", shape=(1,), cardinalities=(1000,)),
        (HIDDEN[:, None] * 300 + RNG.integers(0, 20, (ROWS, 1))).astype(np.int64),
    ),
    "image": (
        TensorSpec(name="image", dtype="uint8", shape=(1, 4, 4)),
        np.tile((HIDDEN * 100).astype(np.uint8)[:, None, None, None], (1, 1, 4, 4)),
    ),
    "words": (
        TensorSpec(name="text", dtype="int64", shape=(6,), cardinalities=(64,)),
        # The word that tells stands anywhere among the others.
        np.column_stack(
            [
                RNG.permuted(np.column_stack([HIDDEN + 1, RNG.integers(4, 30, (ROWS, 3))]), axis=1),
                np.zeros((ROWS, 2)),
            ]
        ).astype(np.int64),
    ),
    "history": (
        TensorSpec(name="past", dtype="float32", shape=(3, 2)),
        np.where(RNG.random((ROWS, 3, 2)) < 0.1, np.nan, HIDDEN[:, None, None]).astype(np.float32),
    ),
}


def answered(kind: str, name: str, task: Any, target: np.ndarray) -> np.ndarray:
    spec, values = TENSORS[name]
    train, test = (matrix({spec.name: part}, (spec,)) for part in (values[:TRAIN], values[TRAIN:]))
    with threadpool_limits(limits=1):
        return SIMPLE[kind].answers(train, target[:TRAIN], test, task)


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("kind", TAKES)
def test_every_kind_of_tensor_is_learnt_from(kind: str, name: str) -> None:
    classes = Multiclass(classes=("a", "b", "c"))
    gate = Simple(kind=kind)
    spec = TENSORS[name][0]
    assert (gate.misfit(classes, (spec,)) == "") == (spec.kind in TAKES[kind])
    if spec.kind not in TAKES[kind]:
        return
    output = answered(kind, name, classes, HIDDEN.astype(np.int64))
    assert output.shape == (ROWS - TRAIN, 3)
    assert output.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert classes.errors(output, HIDDEN[TRAIN:]).mean() < 0.05


@pytest.mark.parametrize("kind", TAKES)
def test_two_classes_and_numbers_have_the_form_of_their_task(kind: str) -> None:
    is_two = (HIDDEN == 2).astype(np.float32)
    output = answered(kind, "numbers", Binary(), is_two)
    assert output.shape == (ROWS - TRAIN, 1)
    assert Binary().errors(output, is_two[TRAIN:]).mean() < 0.05
    amounts = (HIDDEN * 10).astype(np.float32)
    numbers = answered(kind, "numbers", Regression(), amounts)
    assert numbers.shape == (ROWS - TRAIN, 1)
    assert Regression().errors(numbers, amounts[TRAIN:]).mean() < 2.0


def test_a_class_that_never_occurred_has_no_probability() -> None:
    task, target = Multiclass(classes=("a", "never", "b", "c")), np.array([0, 2, 3])[HIDDEN].astype(np.int64)
    output = answered("linear", "numbers", task, target)
    assert output.shape == (ROWS - TRAIN, 4)
    assert output[:, 1].max() == 0


def test_the_catalogue_has_every_kind_that_may_be_declared() -> None:
    assert set(SIMPLE) == set(TAKES)
    assert {kind for taken in TAKES.values() for kind in taken} == set(get_args(TensorKind))
    assert {spec.kind for spec, _ in TENSORS.values()} == set(get_args(TensorKind))
    assert (strongest(()), strongest(("numbers", "text"))) == ("boosted_trees", "linear")
