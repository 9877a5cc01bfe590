"""The base classes of gates, and the verdicts that gates give.

A gate holds its bounds as workload.yaml declares them, and judges an evaluation by them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from millrace.evaluation.evidence import Estimate, GateEvidence, Measure
from millrace.evaluation.report import ErrorMeaning, Evaluation

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A bound above 0. Infinity is excluded: it would refuse nothing."""
Share = Annotated[float, Field(gt=0, lt=1)]
Direction = Literal["at_most", "at_least"]
"""On which side of the bound a figure passes."""
Refusal = Literal["when_certain", "when_likely", "unless_certain"]
"""Which end of a 95 % interval a gate holds against its bar, the most lenient first.

`when_certain` refuses only if the whole interval is on the wrong side of the bar. `when_likely` refuses if the figure
itself is. `unless_certain` refuses if any part of the interval is."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One gate's judgement. If `measured` is NaN, the gate has not passed, or passes with a warning."""

    name: str = ""
    """The gate's key in workload.yaml; `judge_all` fills it in."""
    passed: bool
    measured: float
    bound: float
    sentence: str
    """What was measured and which bound it was held against, for a person."""
    is_warning: bool = False
    """Whether the gate passed, but a person should know how narrowly or why."""
    figure: str = ""
    """What `measured` is: "p99 of one call"; empty if the sentence alone says it."""
    unit: str = ""
    """The unit of `measured` and `bound`: "ms". "%" is for display alone: the numbers are still shares, 0 to 1."""
    direction: Direction = "at_most"


def held_to(
    bound: float, measured: float, *, direction: Direction = "at_most", warns: bool = False, **words: str
) -> Verdict:
    """The verdict that passes if `measured` is on the right side of the bound; `warns` makes a pass a warning.

    `words` are the verdict's sentence, figure and unit."""
    # False for NaN: every comparison with NaN is.
    passed = measured <= bound if direction == "at_most" else measured >= bound
    return Verdict(
        passed=passed, measured=measured, bound=bound, is_warning=passed and warns, direction=direction, **words
    )


def unknown(bound: float, sentence: str) -> Verdict:
    """The verdict that refuses because the report lacks what the gate judges by."""
    return Verdict(passed=False, measured=math.nan, bound=bound, sentence=sentence)


def worst(value: float) -> float:
    """The sort key of an error: the error itself, and infinity for NaN, so that `max` finds NaN the worst."""
    return math.inf if math.isnan(value) else value


def scaled(bar: float, report: Evaluation) -> float:
    """The declared bar on a difference of errors, in the unit of the errors.

    If errors are shares, it is the bar as declared. If they are amounts, the bar is a share of the model's own error:
    at an error of 80 µg/m³ a bar of 0.05 is 4 µg/m³."""
    own = report.metrics.get("error")
    return bar * (1.0 if report.error.is_share else (math.nan if own is None else own))


def unsuited(measure: Measure, task: Task) -> str:
    """Why the task's answers cannot be compared by `measure`, as an expectation for an error; empty if they can."""
    if measure == "log_loss" and not task.objective.is_calibrated:
        return "measure: error for answers that are no probabilities"
    return ""


def words_of(measure: Measure, error: ErrorMeaning) -> tuple[str, Callable[[float], str]]:
    """The name of the measure for a sentence, and a function that writes an amount of it."""
    if measure == "log_loss":
        return "log loss", "{:.4f}".format
    return error.name, error.amount


class GateSection(BaseModel):
    """A part of the key `gates` of workload.yaml. It is immutable, and an unknown key is refused."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)


class Gate(GateSection):
    """The bounds of one gate."""

    evidence: ClassVar[type[GateEvidence] | None] = None
    """What the gate judges by, if `measures/<its name>.py` finds it; None for a gate on the report's own figures."""
    needs_one_of: ClassVar[tuple[str, ...]] = ()
    """Its bounds of which one at least must be declared; none for a gate whose bounds are all required."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.needs_one_of and all(getattr(self, name) is None for name in self.needs_one_of):
            raise ValueError(f"expected one at least of {', '.join(self.needs_one_of)}")
        return self

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The contract's columns that the gate reads, besides the columns of the features."""
        return getattr(self, "columns", ())

    def misfit(self, task: Task, features: Signature) -> str:
        """What the gate would expect instead of this task or these tensors; empty if it can judge them.

        The text completes an error: "no such gate, as a row's answer is one"."""
        return ""

    def judge(self, report: Evaluation) -> Verdict:
        """The verdict on the evaluated model."""
        raise NotImplementedError


class IntervalGate(Gate):
    """A gate on figures that have an interval. If it passes, it warns if the next stricter `refuse` would refuse."""

    refuse: Refusal = "when_likely"

    def verdict(self, found: Estimate, bar: float, *, is_most: bool = True, **words: str) -> Verdict:
        """The verdict by the end that `refuse` holds against the bar, which is the most or the least that passes.

        `words` are the verdict's sentence, figure and unit."""
        held, doubted = self.held(found, at_most=is_most), self.doubted(found, at_most=is_most)
        warns = doubted > bar if is_most else doubted < bar
        return held_to(bar, held, direction="at_most" if is_most else "at_least", warns=warns, **words)

    def held(self, figure: Estimate, *, at_most: bool) -> float:
        """The end of the figure's interval that `refuse` holds against the bar.

        Without an interval it is NaN, which passes no bar, or for `when_likely` the figure itself."""
        better, worse = (figure.low, figure.high) if at_most else (figure.high, figure.low)
        return {"when_certain": better, "when_likely": figure.value, "unless_certain": worse}[self.refuse]

    def doubted(self, figure: Estimate, *, at_most: bool) -> float:
        """The end of the figure's interval that the next stricter `refuse` would hold against the bar."""
        # Nothing is stricter than `unless_certain`: it doubts the end that it holds already, and so never warns.
        worse = figure.high if at_most else figure.low
        return figure.value if self.refuse == "when_certain" else worse
