"""What every simple model offers: it is fitted on the training rows and answers the test rows, in seconds.

Axes: M training rows, T test rows, W numbers of an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.evaluation.simple.matrix import Matrix
    from millrace.tasks.task import Floats, Task

MOST_ROWS = 50_000
"""Training rows that are read, spread evenly: enough for a model of this size."""


class SimpleModel(Protocol):
    """Equal rows, equal answers: there is no chance without a seed."""

    kind: ClassVar[str]

    @staticmethod
    def answers(train: Matrix, target_M: npt.NDArray[Any], test: Matrix, task: Task) -> Floats:
        """The answers (T, W) as the task takes them, of a model fitted on the training rows."""
        ...
