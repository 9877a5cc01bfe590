"""The gate `stability`: the same training with another seed gives a model that is about as good."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.evaluation.gates.gate import Gate, Share, Verdict, at_most, scaled, unknown, worst
from millrace.evaluation.report import Evaluation


class Stability(Gate):
    """Refuses a model if models of other seeds have very different errors.

    Its error is then chance, and the next training of the same declaration may have another one."""

    seeds: Annotated[int, Field(ge=1, le=9)] = 2
    """How many more models are trained, each with a seed of its own. They are only judged on the test rows."""
    max_spread: Share
    """The largest spread: the highest error minus the lowest, the model's own error included.

    It is a difference of two shares; for an error that is an amount, a share of the model's error."""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the errors lie at most `max_spread` apart; a report without the other seeds' errors fails."""
        # NaN is sorted last, so the spread is NaN and the gate refuses.
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
