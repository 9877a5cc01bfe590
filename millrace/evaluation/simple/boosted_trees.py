"""The simple model `boosted_trees`, the one to beat on tables: scikit-learn's gradient-boosted trees by histograms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from millrace.evaluation.bootstrap import Floats
from millrace.evaluation.simple.linear import by_class
from millrace.evaluation.simple.matrix import Matrix
from millrace.tasks.task import Task

ROUNDS = 200
MOST_TREES = 2000
"""The most trees in all rounds together: with several classes a round has a tree for each class."""
FEWEST_TO_STOP = 500
"""With at least this many training rows, some are set aside to stop the fit early."""
FEWEST_OF_CLASSES = 10
"""The same for each class: a tenth of the rows must have room for one row of each."""
TIED = 0.1
"""Labels are tied if so large a share of them is one number."""
MOST_VALUES = 255
"""A histogram has this many bins. A category with more values is taken as a number."""


class BoostedTrees:
    """Trees take numbers and categories as they are, missing numbers too.

    With at least FEWEST_TO_STOP rows, a tenth of the rows is set aside, and the fit stops when the loss there no longer
    falls. Without that, 200 rounds on a few thousand rows with a rare class know the rows by heart, and are worse than
    the shares of the classes."""

    @staticmethod
    def fit(train: Matrix, target_M: npt.NDArray[Any], task: Task) -> Callable[[Matrix], Floats]:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        # Scikit-learn fails on the histogram of a column without any known number, so such columns are left out.
        is_known_C = ~np.isnan(train.number_NC).all(axis=0)

        def columns(one: Matrix) -> npt.NDArray[Any]:
            return np.concatenate([one.number_NC[:, is_known_C], one.category_NK], axis=1)

        train_x = columns(train)
        # None of the numbers are categories, and those categories with few enough values.
        few_K = np.array(train.cardinality_K, np.int64) <= MOST_VALUES
        settings: dict[str, Any] = {
            "max_iter": max(10, min(ROUNDS, MOST_TREES // task.objective.width)),
            "random_state": 0,
            "early_stopping": len(train_x) >= FEWEST_TO_STOP,
            "categorical_features": np.concatenate([np.zeros(is_known_C.sum(), np.bool_), few_K]),
        }
        if task.objective.target == "float32" and not task.objective.is_calibrated:
            # The task's error of numbers is absolute: trees that minimise squares would be a weaker rival. But where
            # many labels are equal, such as counts, the median of a leaf seldom moves: such trees answer it everywhere.
            is_tied = np.unique(target_M, return_counts=True)[1].max() >= TIED * len(target_M)
            loss = "squared_error" if is_tied else "absolute_error"
            trees = HistGradientBoostingRegressor(loss=loss, **settings).fit(train_x, target_M)
            return lambda one: trees.predict(columns(one))[:, None]
        class_M = target_M.astype(np.int64)
        # Rows are set aside by class. So a class needs two rows, and its single row counts twice; and a tenth of the
        # rows needs one of each class.
        classes, count_K = np.unique(class_M, return_counts=True)
        single = np.isin(class_M, classes[count_K == 1])
        train_x, class_M = (np.concatenate([each, each[single]]) for each in (train_x, class_M))
        settings["early_stopping"] &= len(class_M) >= FEWEST_OF_CLASSES * len(classes)
        fitted = HistGradientBoostingClassifier(**settings).fit(train_x, class_M)
        return lambda one: by_class(fitted.predict_proba(columns(one)), fitted.classes_, task)
