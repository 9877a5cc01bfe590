"""The interface of simple models: a model is fitted on the training rows and answers the test rows, in seconds.

Axes: M training rows, T test rows, W numbers of an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.evaluation.simple.matrix import Matrix
    from millrace.tasks.task import Floats, Task

MOST_ROWS = 50_000
"""The most training rows that a simple model is fitted on, spread evenly: enough for a model of this size."""


class SimpleModel(Protocol):
    """One kind of simple model. Equal rows give equal answers: whatever is random has a fixed seed."""

    @staticmethod
    def answers(train: Matrix, target_M: npt.NDArray[Any], test: Matrix, task: Task) -> Floats:
        """The answers (T, W), in the form of the task, of a model that is fitted on the training rows."""
        ...
