"""What every gate offers: its bound as workload.yaml declares it, and its judgement of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from millrace.evaluation.evidence import Estimate, Measure
from millrace.evaluation.report import ErrorMeaning, Evaluation

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A bound without an end would refuse nothing."""
Share = Annotated[float, Field(gt=0, lt=1)]
Direction = Literal["at_most", "at_least"]
"""On which side of the bound a figure passes."""
Refusal = Literal["when_certain", "when_likely", "unless_certain"]
"""Which end of a 95 % interval is held against the bar.

`when_certain` refuses where the whole interval is on the wrong side, `when_likely` where the figure itself is,
`unless_certain` where any part of the interval is."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One gate's judgement; a measured value that is no number never passes."""

    name: str
    passed: bool
    measured: float
    bound: float
    sentence: str
    """What was measured against what, for a person."""
    is_warning: bool = False
    """Whether it passed, and a person should know something all the same."""
    figure: str = ""
    """What `measured` is, "p99 of one call"; empty where the sentence alone says it."""
    unit: str = ""
    """Of both numbers; % of a share, which is 0 to 1 all the same."""
    direction: Direction = "at_most"


def at_most(
    name: str, measured: float, bound: float, *, sentence: str, figure: str, unit: str = "", warns: bool = False
) -> Verdict:
    """Passed when `measured` ≤ `bound`; `warns` counts where it passed."""
    passed = measured <= bound
    verdict = Verdict(name=name, passed=passed, measured=measured, bound=bound, sentence=sentence, figure=figure)
    return replace(verdict, is_warning=passed and warns, unit=unit, direction="at_most")


def at_least(
    name: str, measured: float, bound: float, *, sentence: str, figure: str, unit: str = "", warns: bool = False
) -> Verdict:
    """Passed when `measured` ≥ `bound`; `warns` counts where it passed."""
    passed = measured >= bound
    verdict = Verdict(name=name, passed=passed, measured=measured, bound=bound, sentence=sentence, figure=figure)
    return replace(verdict, is_warning=passed and warns, unit=unit, direction="at_least")


def unknown(name: str, bound: float, sentence: str) -> Verdict:
    """Refused, since the report lacks what the gate judges by."""
    return Verdict(name=name, passed=False, measured=math.nan, bound=bound, sentence=sentence)


def worst(value: float) -> float:
    """A key of `max` over errors: no number is the worst of all."""
    return math.inf if math.isnan(value) else value


def scaled(bar: float, report: Evaluation) -> float:
    """A bar on a difference of errors: of shares as it is, of amounts as a share of the model's own error."""
    own = report.metrics.get("error")
    return bar * (1.0 if report.error.is_share else (math.nan if own is None else own))


def unsuited(measure: Measure, task: Task) -> str:
    """What is expected of a gate that compares models in `measure`, where the task's answers lack it; else empty."""
    if measure == "log_loss" and not task.objective.is_calibrated:
        return "measure: error for answers that are no probabilities"
    return ""


def words_of(measure: Measure, error: ErrorMeaning) -> tuple[str, Callable[[float], str]]:
    """The name of the measure, and how an amount of it is written."""
    if measure == "log_loss":
        return "log loss", "{:.4f}".format
    return error.name, error.amount


class Gate(BaseModel):
    """The bounds of one gate; a key that is not supported is refused."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The contract's columns that are read for it, besides those of the features."""
        return ()

    def misfit(self, task: Task, features: Signature) -> str:
        """What it expects of the task and of the features' tensors, where they do not suit it; else empty."""
        return ""

    def judge(self, report: Evaluation) -> Verdict:
        """Whether the evaluated model keeps the bound."""
        raise NotImplementedError


class IntervalGate(Gate):
    """A gate on figures that have an interval; it warns where the next stricter `refuse` would have refused."""

    refuse: Refusal = "when_likely"

    def held(self, figure: Estimate, *, at_most: bool) -> float:
        """The end that is held against the bar; NaN, which passes no bar, where there is no interval."""
        better, worse = (figure.low, figure.high) if at_most else (figure.high, figure.low)
        return {"when_certain": better, "when_likely": figure.value, "unless_certain": worse}[self.refuse]

    def doubted(self, figure: Estimate, *, at_most: bool) -> float:
        """The end that the next stricter `refuse` holds against the bar."""
        worse = figure.high if at_most else figure.low
        return figure.value if self.refuse == "when_certain" else worse
