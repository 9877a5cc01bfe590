"""Answers bear noise and missing inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import model_validator

from millrace.evaluation.gates.gate import IntervalGate, Positive, Share, Verdict, at_most, scaled, unknown, worst
from millrace.evaluation.report import Evaluation
from millrace.features.tensors.catalogue import ENTRIES

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task


class Robustness(IntervalGate):
    """One damage at least is declared; inputs are damaged, not labels."""

    noise: Positive | None = None
    """Normal noise on numbers and pixels, in standard deviations of the column in the training rows, or of 255."""
    missing: Share | None = None
    """Share of the cells that may be missing and are emptied: optional numbers, categories, histories."""
    max_rise: Share
    """Of the error: a difference of two shares, or a share of the undamaged rows' error where it is an amount."""

    @model_validator(mode="after")
    def _has_a_damage(self) -> Robustness:
        if self.noise is None and self.missing is None:
            raise ValueError("expected noise, missing or both")
        return self

    def misfit(self, task: Task, features: Signature) -> str:
        has_amounts = any(ENTRIES[spec.kind].mean_axis is not None for spec in features)
        if self.noise is not None and not has_amounts:
            return "missing alone, as no feature is a number or an image"
        can_miss = any(ENTRIES[spec.kind].may_be_missing(spec) for spec in features)
        return "" if self.missing is None or can_miss else "noise alone, as no feature may be missing"

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when no damage lets the error rise by more than `max_rise`."""
        found = report.robustness.damaged if report.robustness else ()
        bar = scaled(self.max_rise, report)
        if len(found) != (self.noise is not None) + (self.missing is not None):
            return unknown("robustness", bar, "the report does not hold every declared damage")
        hardest = max(found, key=lambda one: worst(self.held(one.rise, at_most=True)))
        return at_most(
            "robustness",
            self.held(hardest.rise, at_most=True),
            bar,
            warns=self.doubted(hardest.rise, at_most=True) > bar,
            figure=f"rise of the error under {hardest.damage}",
            unit=report.error.unit,
            sentence=f"{report.error.name} {report.error.amount(hardest.error.value)} under {hardest.damage}, a rise "
            f"of {hardest.rise.words('+.4g')}; at most {bar:+.4g} allowed",
        )
