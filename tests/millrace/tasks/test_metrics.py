from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from millrace.tasks.metrics import auc, confidence, ece, log_loss, reliability

RNG = np.random.default_rng(0)
P = RNG.random(500).round(2).astype(np.float32)
"""With ties."""
Y = (RNG.random(500) < P).astype(np.float32)


def test_auc_is_that_of_the_rank_test() -> None:
    expected = mannwhitneyu(P[Y == 1], P[Y == 0]).statistic / ((Y == 1).sum() * (Y == 0).sum())
    assert auc(P, Y) == pytest.approx(expected, abs=1e-12)


def test_log_loss_is_finite_where_a_model_was_sure_and_wrong() -> None:
    assert log_loss(np.array([0.0, 0.5]), np.array([1.0, 1.0])) == pytest.approx((-np.log(1e-7) + np.log(2)) / 2)


def test_ece_of_a_model_that_is_too_sure_is_the_difference() -> None:
    p, y = np.full(1000, 0.95), np.repeat([1.0, 0.0], [700, 300])
    bins = reliability(confidence(p), (p >= 0.5) == (y > 0), lowest=0.5)
    assert len(bins) == 1
    assert bins[0].rows == 1000
    assert ece(bins, rows=1000) == pytest.approx(0.25)


def test_bins_hold_every_row_also_at_the_ends() -> None:
    p = np.array([0.5, 0.0, 1.0, 0.499, 0.75])
    assert sum(one.rows for one in reliability(confidence(p), np.ones(5, bool), lowest=0.5)) == 5


def test_a_model_that_answers_no_number_has_no_calibration_error() -> None:
    p = np.array([0.9, np.nan, 0.2])
    bins = reliability(confidence(p), p >= 0.5, lowest=0.5)
    assert sum(one.rows for one in bins) == 2
    assert np.isnan(ece(bins, rows=3))
