"""Gradient-boosted trees, the model to beat on tables: scikit-learn's, by histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from millrace.evaluation.simple.linear import by_class

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.evaluation.simple.matrix import Matrix
    from millrace.tasks.task import Floats, Task

ROUNDS = 200
MOST_TREES = 2000
"""A round has a tree for each class of several."""
FEWEST_TO_STOP = 500
MOST_VALUES = 255
"""A category with more values than a histogram has bins is taken as a number."""


class BoostedTrees:
    """Numbers and categories as they are, a missing number too.

    They stop on a tenth of the rows that is set aside, where those are enough: 200 rounds of a few thousand rows with a
    rare class know the rows by heart, and are worse than the shares of the classes."""

    kind: ClassVar[str] = "boosted_trees"

    @staticmethod
    def answers(train: Matrix, target_M: npt.NDArray[Any], test: Matrix, task: Task) -> Floats:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        # The histograms of a column of which nothing is known fail in scikit-learn.
        is_known_C = ~np.isnan(train.number_NC).all(axis=0)
        train_x, test_x = (
            np.concatenate([one.number_NC[:, is_known_C], one.category_NK], axis=1) for one in (train, test)
        )
        settings: dict[str, Any] = {
            "max_iter": max(10, min(ROUNDS, MOST_TREES // task.objective.width)),
            "random_state": 0,
            "early_stopping": len(train_x) >= FEWEST_TO_STOP,
            "categorical_features": _is_category(int(is_known_C.sum()), train),
        }
        if task.objective.target == "float32" and not task.objective.is_calibrated:
            # The error of numbers is absolute: trees that minimise squares would be a weaker rival.
            trees = HistGradientBoostingRegressor(loss="absolute_error", **settings).fit(train_x, target_M)
            found: Floats = trees.predict(test_x)[:, None]
            return found
        fitted = HistGradientBoostingClassifier(**settings).fit(train_x, target_M.astype(np.int64))
        return by_class(fitted.predict_proba(test_x), fitted.classes_, task)


def _is_category(numbers: int, train: Matrix) -> npt.NDArray[np.bool_]:
    few_K = np.array(train.cardinality_K, np.int64) <= MOST_VALUES
    return np.concatenate([np.zeros(numbers, np.bool_), few_K])
