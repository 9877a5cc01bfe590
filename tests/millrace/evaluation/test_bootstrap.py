"""Intervals by blocks: as wide as the blocks need, none where they are too few."""

from __future__ import annotations

import math

import numpy as np
import pytest

from millrace.evaluation.bootstrap import BLOCKS, Bootstrap, days, entities, successive
from millrace.evaluation.evidence import FEWEST_BLOCKS
from millrace.tasks.metrics import auc


def test_the_interval_of_a_mean_is_that_of_the_formula() -> None:
    """Independent rows, one in each of 200 blocks: the normal interval of a mean, within the noise of the draws."""
    values = np.random.default_rng(0).normal(5, 2, BLOCKS)
    found = Bootstrap(successive(BLOCKS)).mean(values)
    half = 1.96 * values.std() / math.sqrt(BLOCKS)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


def test_it_covers_what_is_true_though_days_go_together() -> None:
    """95 of 100 intervals hold the true mean of a stream with good and bad days; intervals of single rows do not."""
    rng, covered, naive = np.random.default_rng(0), 0, 0
    block_N = np.repeat(np.arange(60), 48)
    for _ in range(100):
        wrong_N = (rng.random(len(block_N)) < np.repeat(rng.uniform(0.05, 0.35, 60), 48)).astype(float)
        found = Bootstrap(block_N).mean(wrong_N)
        covered += found.low <= 0.2 <= found.high
        half = 1.96 * wrong_N.std() / math.sqrt(len(wrong_N))
        naive += abs(wrong_N.mean() - 0.2) <= half
    assert covered >= 89
    assert naive < 80


def test_too_few_blocks_have_no_interval() -> None:
    found = Bootstrap(np.array([0, 0, 1, 1, 2, 3])).mean(np.ones(6))
    assert found.value == 1.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_block_is_a_day_or_an_entity() -> None:
    hours = np.arange("2026-01-01T20", "2026-01-02T03", dtype="datetime64[h]")
    assert days(hours).tolist() == [0, 0, 0, 0, 1, 1, 1]
    many = [f"site {number % 40}" for number in range(120)]
    assert entities(many).tolist() == [number % 40 for number in range(120)]
    assert entities(["a", "b"] * 50).tolist() == successive(100).tolist(), "two entities are too few to draw from"
    assert entities(list(range(1000))).tolist() == successive(1000).tolist()


def test_a_figure_of_too_few_blocks_or_of_no_draw_has_no_interval() -> None:
    few = Bootstrap(np.arange(FEWEST_BLOCKS - 1)).figures(lambda rows: {"count": float(len(rows))})
    assert math.isnan(few["count"].low)
    labels = np.array([1.0] + [0.0] * 199, np.float32)
    rare = Bootstrap(successive(200)).figures(lambda rows: {"auc": auc(np.arange(200.0)[rows], labels[rows])})
    assert rare["auc"].value == 0
    assert rare["auc"].high == 0, "the draws without the one positive row have no AUC, the others have this one"
