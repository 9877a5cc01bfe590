"""Shapley values against games whose values are known."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from millrace.explanations.layout import Layout
from millrace.explanations.shapley import Game, explain
from millrace.features.parts import Part
from millrace.tasks.binary import Binary
from millrace.tasks.regression import Regression
from millrace.tasks.task import Task

Tensors = Mapping[str, npt.NDArray[Any]]


def game(outputs: Any, row: list[float], *, task: Task | None = None) -> Game:
    """Each number is a part; the reference is 0."""
    count = len(row)
    layout = Layout(
        parts=tuple(Part(column=f"x{place}") for place in range(count)), of_entry={"numbers": np.arange(count)}
    )
    return Game(
        outputs=outputs,
        task=task or Regression(),
        layout=layout,
        row={"numbers": np.array(row, np.float32)},
        reference={"numbers": np.zeros(count, np.float32)},
        at=0,
    )


def tangled(tensors: Tensors) -> npt.NDArray[Any]:
    x = tensors["numbers"].astype(np.float64)
    return (np.tanh(x @ np.sin(np.arange(x.shape[1]))) + x[:, 0] * np.maximum(x[:, 3], x[:, 5]))[:, None]


def test_few_parts_have_the_mean_over_all_orders() -> None:
    row = [0.5, -1.0, 2.0, 1.5, 0.3, 0.9]
    of = game(tangled, row)
    expected, orders = np.zeros(6), list(permutations(range(6)))
    for order in orders:
        kept = np.zeros((7, 6), np.bool_)
        for after, player in enumerate(order, start=1):
            kept[after:, player] = True
        expected[list(order)] += np.diff(of.answers(kept)) / len(orders)
    np.testing.assert_allclose(explain(of).contributions, expected, atol=1e-9)


def test_many_parts_are_sampled_within_their_standard_error() -> None:
    """Twelve parts, six of them without a say: without those the exact values are known."""
    row = [0.5, -1.0, 2.0, 1.5, 0.3, 0.9]
    exact = explain(game(tangled, row)).contributions
    many = explain(game(lambda tensors: tangled({"numbers": tensors["numbers"][:, :6]}), [*row, *[1.0] * 6]), rows=6000)
    assert 0 < many.standard_error < 0.05
    assert np.abs(many.contributions[:6] - exact).max() < 5 * many.standard_error
    assert np.abs(many.contributions[6:]).max() < 1e-12
    assert many.completeness_error < 1e-9
    again = explain(
        game(lambda tensors: tangled({"numbers": tensors["numbers"][:, :6]}), [*row, *[1.0] * 6]), rows=6000
    )
    np.testing.assert_array_equal(again.contributions, many.contributions)


def test_a_probability_is_taken_apart_in_log_odds() -> None:
    def sigmoid(tensors: Tensors) -> npt.NDArray[Any]:
        return 1 / (1 + np.exp(-tensors["numbers"].astype(np.float64) @ np.array([1.0, -2.0, 0.0])))[:, None]

    found = explain(game(sigmoid, [1.0, 1.0, 1.0], task=Binary()))
    assert found.contributions == pytest.approx([1.0, -2.0, 0.0])


def test_a_document_lists_the_largest_first_and_sums_the_others() -> None:
    count = 30
    found = explain(
        game(lambda tensors: tensors["numbers"].sum(axis=1, keepdims=True), [1.0 + n for n in range(count)])
    )
    document = found.document(explains="value", method="shapley")
    assert document["contributions"][0] == {"column": "x29", "contribution": 30.0}
    assert len(document["contributions"]) == 24
    assert document["others"] == pytest.approx(1 + 2 + 3 + 4 + 5 + 6)
    assert document["completeness_error"] < 1e-3
