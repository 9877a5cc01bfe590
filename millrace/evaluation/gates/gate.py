"""What every gate offers: its bound as workload.yaml declares it, and its judgement of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from millrace.evaluation.evidence import Estimate
from millrace.evaluation.report import Evaluation

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
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


class Gate(BaseModel):
    """The bounds of one gate; a key that is not supported is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    """A gate on figures that have an interval; it warns where only a part of the interval is on the wrong side."""

    refuse: Refusal = "when_likely"

    def held(self, figure: Estimate, *, at_most: bool) -> float:
        """The end that is held against the bar; NaN, which passes no bar, where there is no interval."""
        better, worse = (figure.low, figure.high) if at_most else (figure.high, figure.low)
        return {"when_certain": better, "when_likely": figure.value, "unless_certain": worse}[self.refuse]
