"""The gate `plausibility`: the answers are not constant, have the labels' unit, and no classes are exchanged."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from millrace.evaluation.evidence import GateEvidence
from millrace.evaluation.gates.gate import Gate, Share, Verdict, all_at_most, unknown
from millrace.evaluation.report import Evaluation


class PlausibilityEvidence(GateEvidence):
    """Signs of mistakes that the error alone only hints at: a constant answer, exchanged classes, another unit."""

    gate = "plausibility"

    constant_share: float
    """Share of the test rows with the most frequent answer (numbers are compared to six decimals)."""
    exchanged: tuple[str, ...] = ()
    """For classes: "a answered as b" for each class that looks exchanged with another one; else empty."""
    exchange_gain: float = 0.0
    """How much lower the error would be if the exchanged names were put right; a share of answers."""
    scale: float | None = None
    """For a task with one number per answer: the factor on the answers that has the least absolute error.

    1 means that the answers have the labels' unit; 1000 that the answers may be in kW and the labels in W. None for
    other tasks, and if every answer is 0."""


class Plausibility(Gate):
    """Names three mistakes that a gate on the error can only notice. `plausibility: {}` has the defaults below."""

    evidence = PlausibilityEvidence

    max_constant: Share = 0.95
    """Share of the test rows that may have the most frequent answer. Answers are compared by all of their numbers."""
    max_exchange_gain: Share = 0.02
    """How much lower the error may be with other names for the classes; a share of answers."""
    max_scale: Annotated[float, Field(gt=1)] = 1.5
    """The largest factor on the answers that may fit the labels best; 1 / `max_scale` is the smallest one."""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if none of the three figures is beyond its bound; a report without the evidence fails."""
        found = report.of(PlausibilityEvidence)
        if found is None:
            return unknown(1.0, "the report holds no look at the answers")
        return all_at_most(self._judged(found))

    def _judged(self, found: PlausibilityEvidence) -> list[tuple[float, float, str]]:
        """Figure, bound and sentence for each of the three mistakes that the task can make."""
        share = f"{found.constant_share:.1%} of the rows have the same answer, at most {self.max_constant:.1%} allowed"
        judged = [(found.constant_share, self.max_constant, share)]
        if found.exchanged:
            names = ", ".join(found.exchanged)
            words = f"classes look exchanged ({names}): the error would be {found.exchange_gain:.1%} lower"
            judged.append((found.exchange_gain, self.max_exchange_gain, words))
        if found.scale is not None:
            # Too large and too small answers count alike; answers of the wrong sign never pass.
            factor = max(found.scale, 1 / found.scale) if found.scale > 0 else math.inf
            words = f"the labels are {found.scale:.3g} times the answers, at most {self.max_scale:g} or its inverse"
            judged.append((factor, self.max_scale, f"{words} allowed"))
        return judged
