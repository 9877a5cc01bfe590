"""The keys of `prediction` that say which label is asked for, and how it is answered: what tasks read of a workload."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from millrace.errors import FieldError
from millrace.workload.policy import Amount, Costs
from millrace.workload.section import Section


class ConstantAnswer(Section):
    """The same answer to every row: `{constant: 0.5}`."""

    constant: StrictStr | StrictInt | StrictFloat
    """A probability for `binary` and, for each label, `multilabel`; a class for `multiclass`; else a number."""


FallbackAnswerer = Literal["previous", "rule"] | ConstantAnswer
"""Who answers while the model does not."""


def _in_order(fallback: tuple[FallbackAnswerer, ...]) -> tuple[FallbackAnswerer, ...]:
    names = [one if isinstance(one, str) else "constant" for one in fallback]
    if names != [one for one in ("previous", "rule", "constant") if one in names]:
        expected = "some of [previous, rule, {constant: …}] in this order, since a constant answers every row"
        raise FieldError(
            expected=expected, came=[one if isinstance(one, str) else one.model_dump() for one in fallback]
        )
    return fallback


class PredictedLabel(Section):
    """`Prediction` has the other keys, and says what `label` may be in workload.yaml."""

    task: str
    label: str
    """The column of the label. For several labels their names, with commas in between."""
    horizon_hours: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    """How many hours ahead of a row its label lies; of several horizons the farthest.

    The label is then the cell of the row of the same entity at exactly that time. The row's own cell is known when the
    prediction is made, so it may be a feature. 0: the label is that of the row itself."""
    horizons_hours: tuple[Amount, ...] = ()
    """All horizons of the task `forecast`, rising. Empty if `horizon_hours` is the only one."""
    labels: tuple[str, ...] = ()
    """The names of all labels of the task `multilabel`. Empty if `label` is the only one."""
    positive: StrictStr | StrictBool | StrictInt = 1
    """For the task `binary`: the label's value that the answer 1 stands for."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """For the task `binary`: the probability of the positive class from which on the answer is 1.

    If this class is rare, or if it is bad to miss it, a lower threshold finds more of it, with more false alarms."""
    huber: Annotated[float, Field(gt=0, le=100)] = 1.0
    """For the task `regression`: the error, in standard deviations of the label, where the loss changes its form.

    The loss is quadratic below and linear above. With a large value the model learns the mean, which makes the squared
    error small. With a small value it learns the median, which makes the absolute error small."""
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    """For the tasks `interval` and `forecast`: the quantiles of the answer's lower and upper end: [0.05, 0.95]."""
    thresholds: Annotated[dict[str, Annotated[float, Field(gt=0, lt=1)]], Field(default_factory=dict)]
    """For the task `multilabel`: by label the probability from which on the answer is yes. 0.5 for any other label."""
    costs: Costs | None = None
    """What wrong answers cost, as `policy.automate` says it: the answer is the one with the least expected cost."""
    fallback: Annotated[tuple[FallbackAnswerer, ...], AfterValidator(_in_order)] = ()
    """Who answers while the model does not, the first that can: `[rule, {constant: 0.5}]`. Nobody: empty fields.

    `previous` is the version before while it is warm (`rollout.warm_hours`). `rule` is the naive rule of
    `gates.baseline`, as the evaluation of the live version knows it."""

    @property
    def constant(self) -> str | int | float | None:
        """The declared constant; None without one."""
        return next((one.constant for one in self.fallback if isinstance(one, ConstantAnswer)), None)
