"""The search for better hyperparameters, as a workload declares it: ranges, an objective, limits, a budget."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from millrace.messages.training_job import KEPT_ERROR, KEPT_LOSS
from millrace.models.parameters import Parameters
from millrace.workload.prices import Usage, projected_usd

Objective = Literal["validation_error", "validation_loss"]
METRICS: dict[Objective, str] = {"validation_error": KEPT_ERROR, "validation_loss": KEPT_LOSS}
"""By objective the metric of a training job that has it."""


MOST_TRIED = 64
"""Whole numbers of a range that are tried at synth: enough to meet one that is no multiple of another parameter."""


class SearchRange(BaseModel):
    """All numbers from `min` to `max`; whole ones where the hyperparameter is one."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    min: int | float
    max: int | float
    scale: Literal["linear", "log"] = "linear"
    """`log` tries as many values between 0.001 and 0.01 as between 0.01 and 0.1."""

    @model_validator(mode="after")
    def _is_a_range(self) -> SearchRange:
        if self.min >= self.max or (self.scale == "log" and self.min <= 0):
            raise ValueError("min below max, and above 0 where the scale is log")
        return self


class Tuning(BaseModel):
    """One tuning job of SageMaker: so many trainings, each with hyperparameters of its own."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    parameters: Annotated[
        dict[str, SearchRange | Annotated[tuple[Any, ...], Field(min_length=2, max_length=30)]],
        Field(min_length=1, max_length=30),
    ]
    """By hyperparameter a range, or a list of values to choose from."""
    objective: Objective = "validation_error"
    """What is minimised, on the validation rows; the test rows are for the gates."""
    strategy: Literal["bayesian", "random"] = "bayesian"
    max_jobs: Annotated[int, Field(ge=1, le=750)]
    max_parallel: Annotated[int, Field(ge=1, le=10)] = 1
    early_stopping: bool = False
    """Whether SageMaker stops trainings that do worse than the median of the earlier ones."""
    budget_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """A tuning whose trainings could cost more is refused before it starts."""

    @model_validator(mode="after")
    def _can_be_parallel(self) -> Tuning:
        if self.max_parallel > self.max_jobs:
            raise ValueError(f"max_parallel: expected {self.max_jobs} at most, as max_jobs, got {self.max_parallel}")
        return self

    def candidates(self, family: type[Parameters], declared: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Hyperparameters as trainings may get them, for the family to refuse: every value of a list, both ends of a
        range and its first whole numbers, and every two of these values and ends, the others at their first.

        So a hyperparameter that must be a multiple of another one is searched by a list. Raises ValueError for a name
        that the family does not have, and for a range of what is no number."""
        ends = {name: self._ends(name, family) for name in self.parameters}
        first = {**declared, **{name: values[0] for name, values in ends.items()}}
        for name, values in ends.items():
            yield from ({**first, name: value} for value in (*values, *self._whole_numbers(name, family)))
        for (one, values), (other, others) in combinations(ends.items(), 2):
            yield from ({**first, one: value, other: beside} for value, beside in product(values, others))

    def _ends(self, name: str, family: type[Parameters]) -> tuple[Any, ...]:
        if name not in family.model_fields:
            known = ", ".join(family.model_fields)
            raise ValueError(f"tuning.parameters: expected one of {known}, got {name!r}")
        values = self.parameters[name]
        if not isinstance(values, SearchRange):
            return values
        if family.model_fields[name].annotation not in (int, float):
            raise ValueError(f"tuning.parameters.{name}: expected a list of values, got a range")
        return (values.min, values.max)

    def _whole_numbers(self, name: str, family: type[Parameters]) -> Iterator[int]:
        """The whole numbers of a range of them, behind its first one."""
        values = self.parameters[name]
        if isinstance(values, SearchRange) and self.is_whole(name, family):
            yield from range(int(values.min) + 1, min(int(values.max), int(values.min) + MOST_TRIED))

    def is_whole(self, name: str, family: type[Parameters]) -> bool:
        """Whether the hyperparameter takes whole numbers only."""
        return family.model_fields[name].annotation is int


def tuning_usd(tuning: Tuning, *, instance: str, instances: int, max_minutes: float) -> float:
    """The upper bound of its cost, every training at its longest.

    Raises ConfigurationError for an instance without a price."""
    return projected_usd([Usage(instance=instance, count=instances, minutes=tuning.max_jobs * max_minutes)])
