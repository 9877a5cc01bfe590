"""The simple models learn from every kind of tensor, alike each time."""

from __future__ import annotations

import math
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


def test_words_that_are_rare_tell_many_classes_apart() -> None:
    """Each of 60 classes has words of its own among many: a gradient of the fit is then tiny from its start on."""
    rng, classes, rows = np.random.default_rng(1), 60, 1500
    target = rng.integers(0, classes, rows)
    own = 1 + target[:, None] * 5 + rng.integers(0, 5, (rows, 2))
    words = np.column_stack([own, rng.integers(400, 5000, (rows, 30))]).astype(np.int64)
    spec = TensorSpec(name="text", dtype="int64", shape=(32,), cardinalities=(5000,))
    train, test = (matrix({"text": part}, (spec,)) for part in (words[:1200], words[1200:]))
    task = Multiclass(classes=tuple(map(str, range(classes))))
    with threadpool_limits(limits=1):
        output = SIMPLE["linear"].answers(train, target[:1200], test, task)
    assert task.errors(output, target[1200:]).mean() < 0.1


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


@pytest.mark.parametrize("kind", TAKES)
def test_equal_rows_equal_answers(kind: str) -> None:
    one, other = (answered(kind, "numbers", Binary(), (HIDDEN > 0).astype(np.float32)) for _ in range(2))
    assert np.array_equal(one, other)


def test_a_class_that_never_occurred_has_no_probability() -> None:
    task, target = Multiclass(classes=("a", "never", "b", "c")), np.array([0, 2, 3])[HIDDEN].astype(np.int64)
    output = answered("linear", "numbers", task, target)
    assert output.shape == (ROWS - TRAIN, 4)
    assert output[:, 1].max() == 0


@pytest.mark.parametrize("kind", TAKES)
@pytest.mark.parametrize("classes", [4, 300], ids=["one has one row", "most have two or three"])
def test_classes_of_a_row_or_two_are_fitted_too(kind: str, classes: int) -> None:
    target = HIDDEN.astype(np.int64) if classes == 4 else np.arange(ROWS, dtype=np.int64) % classes
    target[:1] = classes - 1
    output = answered(kind, "numbers", Multiclass(classes=tuple(map(str, range(classes)))), target)
    assert output.shape == (ROWS - TRAIN, classes)
    assert output.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_the_catalogue_has_every_kind_that_may_be_declared() -> None:
    assert set(SIMPLE) == set(TAKES)
    assert {kind for taken in TAKES.values() for kind in taken} == set(get_args(TensorKind))
    assert {spec.kind for spec, _ in TENSORS.values()} == set(get_args(TensorKind))
    assert (strongest(()), strongest(("numbers", "text"))) == ("boosted_trees", "linear")


def test_a_missing_number_stays_missing_and_a_pixel_is_a_share() -> None:
    (numbers, values), (image, pixels) = TENSORS["numbers"], TENSORS["image"]
    found = matrix({"numbers": values, "image": pixels}, (numbers, image))
    assert found.number_NC.shape == (ROWS, 2 + 16)
    assert math.isnan(found.number_NC[0, 1])
    assert found.number_NC[:, 2:].max() == pytest.approx(200 / 255)


def test_trees_learn_counts_of_which_most_are_equal() -> None:
    """Of a label that is 0 in half of the rows, a leaf's median is 0 too: trees for absolute errors never leave it."""
    rng = np.random.default_rng(2)
    number_NC = rng.normal(0, 1, (3000, 2)).astype(np.float32)
    label_N = rng.poisson(np.exp(number_NC[:, 0] - 0.7)).astype(np.float32)
    spec = TensorSpec(name="numbers", dtype="float32", shape=(2,), optional=(False, False))
    train, test = (matrix({"numbers": part}, (spec,)) for part in (number_NC[:2000], number_NC[2000:]))
    with threadpool_limits(limits=1):
        output_TW = SIMPLE["boosted_trees"].answers(train, label_N[:2000], test, Regression())
    error, usual = (np.abs(each - label_N[2000:]).mean() for each in (output_TW[:, 0], np.median(label_N[:2000])))
    assert error < 0.95 * usual


def test_trees_beat_the_shares_of_the_classes_where_one_is_rare() -> None:
    """Of a few thousand rows with one in twenty-five: without a stop their log loss is above that of the shares."""
    rng = np.random.default_rng(1)
    number_NC = rng.normal(0, 1, (6000, 6)).astype(np.float32)
    p_N = 1 / (1 + np.exp(-(number_NC[:, 0] * 0.8 - 3.5)))
    label_N = (rng.random(6000) < p_N).astype(np.float32)
    spec = TensorSpec(name="numbers", dtype="float32", shape=(6,), optional=(False,) * 6)
    train, test = (matrix({"numbers": part}, (spec,)) for part in (number_NC[:4000], number_NC[4000:]))
    task = Binary()
    with threadpool_limits(limits=1):
        output_TW = SIMPLE["boosted_trees"].answers(train, label_N[:4000], test, task)
    loss = task.metrics(output_TW, label_N[4000:])["log_loss"]
    shares = task.metrics(np.full((2000, 1), label_N[:4000].mean(), np.float32), label_N[4000:])["log_loss"]
    assert loss is not None
    assert shares is not None
    assert loss < shares
