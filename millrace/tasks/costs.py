"""What answers cost among classes: the declared amounts as a matrix, and the expected cost of each possible answer.

Axes: N rows, K classes, A = K answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millrace.errors import WorkloadError
from millrace.tasks.answer import EXPECTED_COST
from millrace.tasks.task import AnswerField

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.tasks.task import Floats
    from millrace.workload.policy import Costs

    Matrix = tuple[tuple[float, ...], ...]


def cost_field(costs: Matrix) -> tuple[AnswerField, ...]:
    """The field of an answer that says its expected cost; none if nobody has said what answers cost.

    It may be missing: a version that was trained before the costs were declared does not know it."""
    return (AnswerField(name=EXPECTED_COST, kind="number", optional=True),) if costs else ()


def cost_matrix(costs: Costs | None, classes: Sequence[str]) -> Matrix:
    """What each answer (second axis) to a row of each class (first axis) costs; empty without costs.

    Raises WorkloadError for a class that there is not."""
    if costs is None:
        return ()
    assert costs.wrong is not None
    named = {*costs.classes, *costs.pairs, *(answer for row in costs.pairs.values() for answer in row)}
    if unknown := sorted(named - {*classes}):
        expected, field = f"some of the classes {', '.join(classes)}", "policy.automate.costs"
        raise WorkloadError(where="workload.yaml", field=field, expected=expected, came=", ".join(unknown))

    def amount(label: str, answer: str) -> float:
        known = costs.pairs.get(label, {}).get(answer, costs.classes.get(label, costs.wrong))
        return 0.0 if answer == label or known is None else known

    return tuple(tuple(amount(label, answer) for answer in classes) for label in classes)


def expected_costs(p_NK: Floats, costs: Matrix) -> npt.NDArray[np.float64]:
    """The expected cost of each possible answer to each row (N, A), by the probabilities of the classes."""
    import numpy as np

    # Class by class, and not as a product of matrices: its bits would depend on how many rows come together.
    cost_NA = np.zeros((len(p_NK), len(costs)))
    for place, cost_A in enumerate(np.array(costs)):
        cost_NA += p_NK[:, place : place + 1].astype(np.float64) * cost_A
    return cost_NA
