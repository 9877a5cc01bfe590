"""The part `tuning` of workload.yaml: the search for better hyperparameters that `millrace tune` starts.

    tuning:
      parameters: {learning_rate: {min: 0.0005, max: 0.01, scale: log}, dropout: [0.0, 0.2, 0.5]}
      objective: validation_error
      max_jobs: 20
      budget_usd: 15

Every training of the search is one training job of SageMaker with hyperparameters of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations, product
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from millrace.errors import FieldError
from millrace.messages.training_job import KEPT_ERROR, KEPT_LOSS
from millrace.models.parameters import Parameters
from millrace.spelling import one_of
from millrace.workload.prices import Usage, projected_usd
from millrace.workload.section import Section

Objective = Literal["validation_error", "validation_loss"]
METRICS: dict[Objective, str] = {"validation_error": KEPT_ERROR, "validation_loss": KEPT_LOSS}
"""The metric of a training job that shows the objective."""


MOST_TRIED = 64
"""How many whole numbers of a range are tried at synth.

That is enough to meet a number that the family refuses because it is no multiple of another hyperparameter."""


class SearchRange(Section):
    """All numbers from `min` to `max`. For a hyperparameter that is a whole number, all whole numbers."""

    min: int | float
    max: int | float
    scale: Literal["linear", "log"] = "linear"
    """`log` draws as many values between 0.001 and 0.01 as between 0.01 and 0.1."""

    @model_validator(mode="after")
    def _is_a_range(self) -> SearchRange:
        if self.min >= self.max or (self.scale == "log" and self.min <= 0):
            raise ValueError("min below max, and above 0 where the scale is log")
        return self


class Tuning(Section):
    """One tuning job of SageMaker: up to `max_jobs` trainings."""

    parameters: Annotated[
        dict[str, SearchRange | Annotated[tuple[Any, ...], Field(min_length=1, max_length=30)]],
        Field(min_length=1, max_length=30),
    ]
    """By hyperparameter a range, or a list of values to choose from."""
    objective: Objective = "validation_error"
    """What the search minimises on the validation rows. The test rows are for the gates."""
    max_jobs: Annotated[int, Field(ge=1, le=750)]
    max_parallel: Annotated[int, Field(ge=1, le=10)] = 1
    early_stopping: bool = False
    """Whether SageMaker stops a training that does worse than the median of the earlier ones."""
    budget_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """The most that all trainings together may cost, in US dollars. A tuning that could cost more does not start."""

    @model_validator(mode="after")
    def _can_be_parallel(self) -> Tuning:
        if self.max_parallel > self.max_jobs:
            expected = f"{self.max_jobs} at most, as max_jobs"
            raise FieldError(field="max_parallel", expected=expected, came=self.max_parallel)
        return self

    def candidates(self, family: type[Parameters], declared: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Sets of hyperparameters that a training of the search may get. The caller lets the family refuse them.

        They are a sample: every value of a list, both ends of a range and its first whole numbers, each with all other
        hyperparameters at their first value; and then every two values or ends together. So a range cannot be declared
        for a hyperparameter that must be a multiple of another one. A list of good values can.

        Raises ValueError for a name that the family does not have, and for a range of a hyperparameter that is no
        number."""
        ends = {name: self._ends(name, family) for name in self.parameters}
        first = {**declared, **{name: values[0] for name, values in ends.items()}}
        # Each hyperparameter alone: the others keep their first value.
        for name, values in ends.items():
            yield from ({**first, name: value} for value in (*values, *self._whole_numbers(name, family)))
        # Then each pair: a family may refuse two values together that it takes alone.
        for (one, values), (other, others) in combinations(ends.items(), 2):
            yield from ({**first, one: value, other: beside} for value, beside in product(values, others))

    def _ends(self, name: str, family: type[Parameters]) -> tuple[Any, ...]:
        if name not in family.model_fields:
            raise FieldError(field="tuning.parameters", expected=one_of(name, family.model_fields), came=name)
        values = self.parameters[name]
        if not isinstance(values, SearchRange):
            return values
        if family.model_fields[name].annotation not in (int, float):
            raise FieldError(field=f"tuning.parameters.{name}", expected="a list of values", came="a range")
        return (values.min, values.max)

    def _whole_numbers(self, name: str, family: type[Parameters]) -> Iterator[int]:
        """The first whole numbers of a range, without `min` itself. None for a list or a range of other numbers."""
        values = self.parameters[name]
        if isinstance(values, SearchRange) and self.is_whole(name, family):
            yield from range(int(values.min) + 1, min(int(values.max), int(values.min) + MOST_TRIED))

    def is_whole(self, name: str, family: type[Parameters]) -> bool:
        """Whether the hyperparameter takes whole numbers only."""
        return family.model_fields[name].annotation is int


WIDTH = 5
"""A usual search looks from a WIDTH-th of the declared rate to WIDTH times it."""
USUAL_JOBS = 8
"""How many trainings a usual search has."""


def usual_tuning(parameters: Parameters, *, budget_usd: float) -> Tuning:
    """The search for a workload that declares none: the rates of learning and decay, and dropout if there is any."""
    rate, decay = parameters.learning_rate, parameters.weight_decay or 1e-3
    dropout = {"dropout": (0.0, 0.1, 0.3)} if "dropout" in type(parameters).model_fields else {}
    return Tuning(
        parameters={
            "learning_rate": SearchRange(min=rate / WIDTH, max=min(rate * WIDTH, 0.5), scale="log"),
            "weight_decay": SearchRange(min=decay / WIDTH, max=min(decay * WIDTH, 0.5), scale="log"),
            **dropout,
        },
        max_jobs=USUAL_JOBS,
        max_parallel=2,
        budget_usd=budget_usd,
    )


def value_of(text: str) -> Any:
    """The value of a hyperparameter, which is text: `0.1` and `[64, 64]` are read as JSON, `cosine` is a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def tuning_usd(tuning: Tuning, *, instance: str, instances: int, max_minutes: float) -> float:
    """The most that the tuning can cost in US dollars: every training takes `max_minutes`.

    Raises ConfigurationError for an instance type without a price."""
    return projected_usd([Usage(instance=instance, count=instances, minutes=tuning.max_jobs * max_minutes)])
