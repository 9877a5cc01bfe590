"""The simple model `linear`: logistic regression for classes, ridge regression for numbers.

Axes: N rows, M training rows, T test rows, C numbers, K categories or classes, L words of a text, W numbers of an
answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from millrace.evaluation.bootstrap import Floats
from millrace.evaluation.simple.matrix import Matrix
from millrace.tasks.task import Task

ITERATIONS = 200
PENALTY, TEXT_PENALTY = 1.0, 0.1
"""The penalties on squared weights. A row of rare words has small values, which need large weights: texts get less."""
MOST_GRADIENT, LEFT = 1e-3, 0.1
"""The fit ends when no weight's gradient is above MOST_GRADIENT, or above the share LEFT of the largest gradient at its
start, whichever is smaller. With many classes and rare words even the largest gradient at the start is below
MOST_GRADIENT: by that bound alone nothing would be fitted."""
MOST_DENSE = 512
"""The most values of all categories together for which the columns are a dense matrix."""


class Linear:
    """The linear model reads three kinds of columns.

    Numbers are standardised; a missing one counts as the mean, and a second column says that it is missing. Each value
    of a category has a column of 0 and 1. Each word has a column, weighted by how rare the word is."""

    @staticmethod
    def fit(train: Matrix, target_M: npt.NDArray[Any], task: Task) -> Callable[[Matrix], Floats]:
        from sklearn.linear_model import LogisticRegression, Ridge

        columns = _columns(train)
        train_x = columns(train)
        if task.objective.target == "float32" and not task.objective.is_calibrated:
            ridge = Ridge(alpha=PENALTY).fit(train_x, target_M)
            return lambda one: ridge.predict(columns(one)).reshape(len(one.number_NC), -1)
        class_M = target_M.astype(np.int64)
        penalty = TEXT_PENALTY if train.tokens else PENALTY
        tolerance = min(MOST_GRADIENT, LEFT * _first_gradient(train_x, class_M))
        fitted = LogisticRegression(C=1 / penalty, max_iter=ITERATIONS, tol=tolerance).fit(train_x, class_M)
        return lambda one: by_class(fitted.predict_proba(columns(one)), fitted.classes_, task)


def by_class(p_TK: Floats, class_K: npt.NDArray[np.int64], task: Task) -> Floats:
    """The probabilities of the classes `class_K` that occurred in training, as the task's answers (T, W).

    A class that did not occur has probability 0. For two classes W is 1: the probability of the positive class."""
    width = max(task.objective.width, 2)
    p_TW = np.zeros((len(p_TK), width), np.float32)
    p_TW[:, class_K] = p_TK
    return p_TW[:, 1:] if task.objective.width == 1 else p_TW


def _first_gradient(x_MC: Any, class_M: npt.NDArray[np.int64]) -> float:
    """The largest gradient of the mean loss when all weights are 0, so that every class is equally probable."""
    wrong_MK = 1 / (class_M.max() + 1) - np.eye(class_M.max() + 1, dtype=np.float32)[class_M]
    return float(np.abs(x_MC.T @ wrong_MK).max() / len(class_M))


def _columns(train: Matrix) -> Callable[[Matrix], Any]:
    """The columns of any rows, standardised by the training rows.

    They are a sparse matrix if there are texts or many categories, else a dense one."""
    numbers, words = _standardised(train), [*map(_weighted, train.tokens, train.vocabulary)]

    def columns(one: Matrix) -> Any:
        # For each category (N, values): 1 in the column of the row's value, else 0.
        codes = [one.category_NK[:, [k]] == np.arange(size) for k, size in enumerate(one.cardinality_K)]
        tables = [numbers(one), *(code.astype(np.float32) for code in codes)]
        if not words and sum(train.cardinality_K) <= MOST_DENSE:
            return np.concatenate(tables, axis=1)
        from scipy import sparse

        weights = [weighted(token_NL) for weighted, token_NL in zip(words, one.tokens, strict=True)]
        return sparse.hstack([*map(sparse.csr_matrix, tables), *weights]).tocsr()

    return columns


def _standardised(train: Matrix) -> Callable[[Matrix], npt.NDArray[np.float32]]:
    """The standardised numbers of any rows, then a column for each number that some training row lacks.

    The added column is 1 if the number is missing."""
    # Means and deviations of the known cells; a column that never varies keeps a scale of 1.
    known_MC = ~np.isnan(train.number_NC)
    number_MC, count_C = train.number_NC.astype(np.float64), np.maximum(known_MC.sum(axis=0), 1)
    mean_C = np.where(known_MC, number_MC, 0.0).sum(axis=0) / count_C
    spread_C = np.sqrt(np.where(known_MC, (number_MC - mean_C) ** 2, 0.0).sum(axis=0) / count_C)
    scale_C, may_miss_C = np.where(spread_C > 0, spread_C, 1.0), ~known_MC.all(axis=0)

    def standardised(one: Matrix) -> npt.NDArray[np.float32]:
        scaled_NC = np.nan_to_num((one.number_NC - mean_C) / scale_C, nan=0.0)
        return np.concatenate([scaled_NC, np.isnan(one.number_NC[:, may_miss_C])], axis=1).astype(np.float32)

    return standardised


def _weighted(train_ML: npt.NDArray[np.int64], size: int) -> Callable[[npt.NDArray[np.int64]], Any]:
    """The weight of each word in each of any rows, as a sparse matrix (TF-IDF). There are `size` words, 0 included.

    It is how often the word occurs in the row, weighted by how rare the word is in the training rows."""
    from sklearn.feature_extraction.text import TfidfTransformer

    weights = TfidfTransformer(sublinear_tf=True).fit(_counts(train_ML, size))
    return lambda token_NL: weights.transform(_counts(token_NL, size))


def _counts(token_NL: npt.NDArray[np.int64], size: int) -> Any:
    """How often each word occurs in each row: a sparse matrix (N, size). Column 0 stays empty, as 0 is no word."""
    from scipy import sparse

    # Repeated entries of a sparse matrix are added up: so they are counted.
    row_P, column_P = np.nonzero(token_NL)
    ones = np.ones(len(row_P), np.float32)
    return sparse.csr_matrix((ones, (row_P, token_NL[row_P, column_P])), shape=(len(token_NL), size))
