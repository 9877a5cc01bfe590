"""A linear model beside a network: fitted by scikit-learn before the first step, kept and exported as tensors.

Axes: N rows, F inputs, W numbers of an answer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from millrace.features.signature import JOINED, Signature
from millrace.models.columns import Columns
from millrace.models.steps import Steps
from millrace.models.trees import MOST_ROWS, NEVER, on_processor
from millrace.tasks.task import Objective

MOST_COLUMNS = 512
"""A category with more values than this has a few random numbers for each value."""
MOST_NUMBERS = 2**26
"""The most inputs of all rows that the weights are fitted on, half a gigabyte."""
PENALTY, ITERATIONS, MOST_GRADIENT = 1.0, 200, 1e-3


class LinearModel(nn.Module):
    """The signature's tensors in; out come the raw numbers (N, W), as a network gives them.

    It reads standardised cells, marks of the missing ones, and a column of 0 and 1 for each value of a category."""

    factor: Tensor
    """What corrects the mean of the answers where the label has a scale; see `Predictor`."""

    def __init__(self, signature: Signature, width: int) -> None:
        super().__init__()
        self.columns = Columns(signature, most_columns=MOST_COLUMNS)
        steps = [Steps((spec,)) for spec in signature if spec.name not in JOINED]
        inputs = self.columns.width + sum(2 * each.steps * each.features for each in steps)
        self.steps, self.weights = nn.ModuleList(steps), nn.Linear(inputs, width).requires_grad_(False)
        self.register_buffer("factor", torch.tensor(1.0))

    def forward(self, **tensors: Tensor) -> Tensor:
        found: Tensor = self.weights(self._inputs(tensors))
        return found

    def _inputs(self, tensors: Mapping[str, Tensor]) -> Tensor:
        parts = [part.flatten(1) for steps in self.steps for part in steps(tensors)]
        return torch.cat([*parts, *([] if self.columns.is_empty else [self.columns(tensors)])], 1)

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor, objective: Objective) -> None:
        """Fit the weights on training rows: of least squares for numbers, of logistic regression for classes.

        A quantile is as far from every answer as that quantile of the training rows is.

        A class that does not occur is never answered. Where only one does, nothing is fitted: the trees are certain."""
        from sklearn.linear_model import LogisticRegression, Ridge
        from threadpoolctl import threadpool_limits

        most = min(MOST_ROWS, MOST_NUMBERS // max(1, self.weights.in_features))
        rows, target_N = on_processor((tensors, target_N), step=1 + (len(target_N) - 1) // most)
        self.cpu()
        for steps in self.steps:
            steps.fit(rows)  # type: ignore[operator]
        self.columns.fit(rows, target_N)
        model, y_N = Ridge(alpha=PENALTY), target_N.numpy()
        if objective.is_calibrated:
            y_N = y_N.astype(np.int64)
            model = LogisticRegression(C=1 / PENALTY, max_iter=ITERATIONS, tol=MOST_GRADIENT)
            if len(np.unique(y_N)) == 1:
                return
        with threadpool_limits(limits=1):
            x_NF = self._inputs(rows).detach().double().numpy()
            model.fit(x_NF, y_N)
        if quantiles := objective.options.get("quantiles"):
            off_QW = np.quantile(y_N - model.predict(x_NF), quantiles, axis=0).reshape(len(quantiles), -1)
            model.coef_ = np.atleast_2d(model.coef_).repeat(len(quantiles), axis=0)
            model.intercept_ = (off_QW + model.intercept_).T.ravel()
        places = list(range(objective.width))
        if objective.is_calibrated and objective.width > 1:
            # Of two classes of several the weights are those of the second one's odds.
            self.weights.bias.fill_(NEVER)
            self.weights.bias[model.classes_] = 0
            places = model.classes_[-len(model.coef_) :]
        self.weights.weight.zero_()
        self.weights.weight[places] = torch.from_numpy(np.atleast_2d(model.coef_)).float()
        self.weights.bias[places] = torch.from_numpy(np.atleast_1d(model.intercept_)).float()
