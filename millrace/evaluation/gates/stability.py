"""The same training with another seed gives as good a model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.evaluation.gates.gate import Gate, Share, Verdict, at_most, scaled, unknown, worst
from millrace.evaluation.report import Evaluation


class Stability(Gate):
    """A recipe whose errors lie far apart owes its figure to chance, and the next training's may be another."""

    seeds: Annotated[int, Field(ge=1, le=9)] = 2
    """How many more models are trained, each with another seed, and judged on the test rows. Nothing else is done with
    them."""
    max_spread: Share
    """Of the highest error minus the lowest, its own among them: a difference of two shares, or a share of the model's
    error where that is an amount."""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when the errors lie at most `max_spread` apart."""
        bar, errors = scaled(self.max_spread, report), sorted(report.seed_errors, key=worst)
        if len(errors) <= self.seeds:
            return unknown("stability", bar, f"the report holds no errors of {self.seeds} other seeds")
        amount = report.error.amount
        return at_most(
            "stability",
            errors[-1] - errors[0],
            bar,
            figure="errors of other seeds apart",
            unit=report.error.unit,
            sentence=f"{report.error.name} {amount(errors[0])} to {amount(errors[-1])} with {len(errors)} seeds, "
            f"{errors[-1] - errors[0]:.4g} apart; at most {bar:.4g} allowed",
        )
