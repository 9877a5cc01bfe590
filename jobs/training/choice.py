"""Settles on the validation rows what training leaves open: the temperature, and which of a predictor's models answers.

Axes: V validation rows, W numbers of an answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from millrace.artefact.artefact import MEAN
from millrace.datasets.examples import Examples, blocks_of
from millrace.datasets.split import Split
from millrace.evaluation.bootstrap import Bootstrap
from millrace.evaluation.measures.contenders import scores
from millrace.jobs.training.loop import TrainingInputs
from millrace.models.predictor import Predictor
from millrace.workload.declaration import Workload

BOUNDS = (0.05, 20.0)
"""The range of temperatures. If all validation rows are right the best one is 0; if no answer is better than chance it
is infinity."""
STRETCHES = 20
"""Rows in time are drawn in so many stretches of whole days: errors of successive days are alike, too."""


def stretches_of(rows: Examples, parts: Split, workload: Workload) -> npt.NDArray[np.intp]:
    """The block of each validation row (V): stretches of days, or entities if rows are in no order of time."""
    block_V = blocks_of(rows, parts.validation, workload)
    if not parts.is_in_time:
        return block_V
    count = int(block_V.max()) + 1
    return block_V * min(count, STRETCHES) // count


def settle(predictor: Predictor, inputs: TrainingInputs) -> None:
    """Calibrate the trained predictor, and choose who answers if that is to be chosen."""
    held = inputs.validation
    if predictor.objective.is_calibrated and not predictor.is_trees_alone:
        with torch.no_grad():
            raw_NW = torch.cat([predictor.network(**piece.tensors) for piece in held.pieces()])
        predictor.temperature.fill_(fit_temperature(raw_NW, held.target_N, predictor.log_loss))
    choose(predictor, inputs)


def fit_temperature(raw_NW: Tensor, target_N: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> float:
    """The temperature T, within BOUNDS, for which `loss(raw / T, target)` is lowest.

    Temperature scaling (Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2).
    The log loss of sigmoid and softmax is convex in 1/T. So the slope changes its sign once, at the minimum, and a
    bisection finds that place."""
    raw_NW = raw_NW.detach().double()
    target_N = target_N.double() if target_N.is_floating_point() else target_N
    low, high = 1 / BOUNDS[1], 1 / BOUNDS[0]
    # The middle is the geometric one, since T is a ratio. After 60 halvings the range is below a double's precision.
    for _ in range(60):
        middle = (low * high) ** 0.5
        inverse = torch.tensor(middle, dtype=torch.float64, requires_grad=True)
        [slope] = torch.autograd.grad(loss(raw_NW * inverse, target_N), [inverse])
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(1 / (low * high) ** 0.5)


def choose(predictor: Predictor, inputs: TrainingInputs) -> None:
    """Let the part answer alone that is certainly better than the mean, if the answer may be chosen."""
    if predictor.share_M is None or inputs.block_V is None:
        return
    if (answers := _best(predictor, inputs, inputs.block_V)) != MEAN:
        predictor.share_M.copy_(torch.tensor([float(name == answers) for name in predictor.parts]))


def _best(predictor: Predictor, inputs: TrainingInputs, block_V: npt.NDArray[np.intp]) -> str:
    """The best among the parts whose cost is certainly below that of the mean, with 95 % confidence; else MEAN.

    The cost is the log loss of classes and the error of numbers. With too few blocks nothing is certain."""
    with torch.no_grad():
        pieces = [predictor.with_parts(piece.tensors) for piece in inputs.validation.pieces()]
    outputs_VW = [torch.cat(of_one).numpy() for of_one in zip(*pieces, strict=True)]
    found = [scores(inputs.task, output_VW, inputs.validation.target_N.numpy()) for output_VW in outputs_VW]
    mean_V, *costs_V = [each.get("log_loss", each["error"]) for each in found]
    bootstrap = Bootstrap(block_V)
    gains = {name: bootstrap.mean(mean_V - cost_V) for name, cost_V in zip(predictor.parts, costs_V, strict=True)}
    for name, gain in gains.items():
        print(f"{name} alone: {gain.value:.4g} better than the mean, at least {gain.low:.4g}", flush=True)
    return max((name for name in gains if gains[name].low > 0), key=lambda name: gains[name].value, default=MEAN)
