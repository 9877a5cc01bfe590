"""The gate `non_inferiority`: on recent rows the model is not worse than the champion by more than a margin.

It does not ask for a better model, also not after an alarm: on a stream of rows in time order, a test of superiority
needs months.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from millrace.evaluation.evidence import FEWEST_BLOCKS, Measure
from millrace.evaluation.gates.gate import Gate, Verdict, held_to, unsuited, words_of
from millrace.evaluation.report import ChampionComparison, ErrorMeaning, Evaluation
from millrace.features.signature import Signature
from millrace.tasks.task import Task


class NonInferiority(Gate):
    """Refuses a model that may be worse than the champion: `{recent_days: 28, margin: 0.02, confidence: 0.95}`.

    If one class is rare, use `measure: log_loss`. A good model and a model that has forgotten the rare class are right
    nearly equally often, so both pass a margin on the error."""

    recent_days: Annotated[int, Field(ge=FEWEST_BLOCKS)]
    """How many of the last test days are compared. The gate refuses if these rows are of fewer than FEWEST_BLOCKS days,
    since there is then no bound."""
    margin: Annotated[float, Field(gt=0, lt=1)]
    """By how much the challenger's error may lie above the champion's.

    It is a difference of two shares; for amounts and for the log loss, a share of the champion's figure."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    """The confidence of the one-sided bound, for all candidates that are judged on the same days together."""
    measure: Measure = "error"

    def misfit(self, task: Task, features: Signature) -> str:
        return unsuited(self.measure, task)

    def judge(self, report: Evaluation) -> Verdict:
        """Passed if the lower bound of (champion's error − challenger's error) is ≥ −margin.

        A report without a comparison fails, and so does a comparison by another measure."""
        champion = report.champion if report.champion and report.champion.measure == self.measure else None
        bar = self.bar(champion.error if champion else 1.0, is_share=report.error.is_share)
        # Without rows, or with an error that is no finite number, `measured` is NaN and the gate refuses.
        is_known = champion and champion.rows and math.isfinite(champion.challenger_error)
        return held_to(
            bar,
            champion.lower_bound if champion and is_known else math.nan,
            direction="at_least",
            figure="lower bound of the improvement"
            + (" in log loss" if self.measure == "log_loss" else "")
            + (f", candidate {champion.candidates} on these days" if champion and champion.candidates > 1 else ""),
            unit=report.error.unit if self.measure == "error" else "",
            sentence=self._sentence(champion, report.error, bar),
        )

    def bar(self, champion: float, *, is_share: bool) -> float:
        """The least bound that passes, beside the champion's figure: the margin, for amounts and log losses a share."""
        return -self.margin * (1.0 if self.measure == "error" and is_share else champion)

    def _sentence(self, champion: ChampionComparison | None, error: ErrorMeaning, bound: float) -> str:
        word, amount = words_of(self.measure, error)
        if champion is None:
            return f"the report holds no comparison with the champion in {word}"
        known = f"lower bound of the improvement {champion.lower_bound:+.4f} at {self.confidence}"
        known += f" for candidate {champion.candidates} on these days"
        if math.isnan(champion.lower_bound):
            known = f"no bound of the improvement, since the rows are of fewer than {FEWEST_BLOCKS} days"
        return (
            f"{word} {amount(champion.challenger_error)} against {amount(champion.error)} of version "
            f"{champion.model_version} on {champion.rows} recent rows; {known}, at least {bound:+.4g} required"
        )
