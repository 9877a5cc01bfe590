"""The gate `robustness`: noise and missing cells in the inputs do not make the answers much worse."""

from __future__ import annotations

from typing import ClassVar

from millrace.evaluation.evidence import Estimate, Figures, GateEvidence
from millrace.evaluation.gates.gate import IntervalGate, Positive, Share, Verdict, scaled, unknown, worst
from millrace.evaluation.report import Evaluation
from millrace.features.signature import Signature
from millrace.features.tensors import ENTRIES
from millrace.tasks.task import Task


class PerturbedFigures(Figures):
    """The test rows with one kind of damage."""

    damage: str
    """The name for a page: "noise of 0.1 standard deviations"."""
    error: Estimate
    rise: Estimate
    """The error of the damaged rows minus the error of the same rows undamaged."""


class RobustnessEvidence(GateEvidence):
    gate = "robustness"

    damaged: tuple[PerturbedFigures, ...]


class Robustness(IntervalGate):
    """Refuses a model whose error rises too much when its inputs are damaged.

    Example: `{noise: 0.1, missing: 0.1, max_rise: 0.05}`. At least one damage must be declared. The inputs are damaged,
    the labels are not."""

    evidence = RobustnessEvidence
    needs_one_of: ClassVar[tuple[str, ...]] = ("noise", "missing")

    noise: Positive | None = None
    """Normal noise that is added to numbers and pixels.

    For numbers it is in standard deviations of the column in the training rows, for pixels in shares of 255."""
    missing: Share | None = None
    """Share of the cells that are emptied, of those that may be missing: optional numbers, categories, histories."""
    max_rise: Share
    """The largest rise of the error.

    It is a difference of two shares; for an error that is an amount, a share of the error of the undamaged rows."""

    def misfit(self, task: Task, features: Signature) -> str:
        # Noise needs a tensor of amounts, and emptying needs cells that may be missing.
        has_amounts = any(ENTRIES[spec.kind].mean_axis is not None for spec in features)
        if self.noise is not None and not has_amounts:
            return "missing alone, as no feature is a number or an image"
        can_miss = any(ENTRIES[spec.kind].may_be_missing(spec) for spec in features)
        return "" if self.missing is None or can_miss else "noise alone, as no feature may be missing"

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if no damage raises the error by more than `max_rise`; a report that lacks a declared damage fails."""
        found = evidence.damaged if (evidence := report.of(RobustnessEvidence)) else ()
        bar = scaled(self.max_rise, report)
        if len(found) != (self.noise is not None) + (self.missing is not None):
            return unknown(bar, "the report does not hold every declared damage")
        hardest = max(found, key=lambda one: worst(self.held(one.rise, at_most=True)))
        return self.verdict(
            hardest.rise,
            bar,
            figure=f"rise of the error under {hardest.damage}",
            unit=report.error.unit,
            sentence=f"{report.error.name} {report.error.amount(hardest.error.value)} under {hardest.damage}, a rise "
            f"of {hardest.rise.words('+.4g')}; at most {bar:+.4g} allowed",
        )
