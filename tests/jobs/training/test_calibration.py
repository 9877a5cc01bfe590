from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional

from millrace.jobs.training.calibration import BOUNDS, fit_temperature


def of_two(raw_N: np.ndarray, label_N: np.ndarray) -> float:
    def loss(raw_N1: torch.Tensor, target_N: torch.Tensor) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(raw_N1[:, 0], target_N)

    return fit_temperature(torch.from_numpy(raw_N)[:, None], torch.from_numpy(label_N), loss)


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 3.0])
def test_finds_the_temperature_of_the_lowest_log_loss(true_temperature: float) -> None:
    rng = np.random.default_rng(0)
    logit_N = rng.normal(0, 2, 2000)
    label_N = (rng.random(2000) < 1 / (1 + np.exp(-logit_N / true_temperature))).astype(float)

    def loss(log_temperature: float) -> float:
        z_N = logit_N / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, z_N) - label_N * z_N))

    expected = np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-10}).x)
    found = of_two(logit_N, label_N)
    assert found == pytest.approx(expected, rel=1e-4)
    assert found == pytest.approx(true_temperature, rel=0.15)


def test_stays_in_bounds_where_no_temperature_is_best() -> None:
    logit_N = np.array([-1.0, 1.0, 2.0])
    assert of_two(logit_N, np.array([0.0, 1.0, 1.0])) == pytest.approx(BOUNDS[0])
    assert of_two(logit_N, np.array([1.0, 0.0, 0.0])) == pytest.approx(BOUNDS[1])
