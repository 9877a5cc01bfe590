"""The model is not worse than the champion on recent rows, by more than a margin.

After an alarm the gate is non-inferiority, not superiority: on a time-ordered stream a superiority test needs months.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from millrace.evaluation.evidence import FEWEST_BLOCKS, Measure
from millrace.evaluation.gates.gate import Gate, Verdict, at_least, unsuited, words_of
from millrace.evaluation.report import ChampionComparison, ErrorMeaning, Evaluation

if TYPE_CHECKING:
    from millrace.features.signature import Signature
    from millrace.tasks.task import Task


class NonInferiority(Gate):
    """Where one class is rare, `measure: log_loss`: a good model and one that has forgotten that class are right nearly
    equally often, and either passes a margin on the error."""

    recent_days: Annotated[int, Field(ge=FEWEST_BLOCKS)]
    """Of the test days, so many last ones are compared; rows of fewer days have no bound, and the gate refuses."""
    margin: Annotated[float, Field(gt=0, lt=1)]
    """By how much the error may lie above the champion's: of numbers, and of the log loss, as a share of the
    champion's."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    """Of the one-sided bound."""
    measure: Measure = "error"

    def misfit(self, task: Task, features: Signature) -> str:
        return unsuited(self.measure, task)

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when the lower bound of (champion's error − challenger's) is ≥ −margin.

        Without a comparison it fails: a report that forgot the champion must not pass, nor one of another measure."""
        champion = report.champion if report.champion and report.champion.measure == self.measure else None
        is_share = self.measure == "error" and report.error.is_share
        scale = champion.error if champion and not is_share else 1.0
        is_known = champion and champion.rows and math.isfinite(champion.challenger_error)
        measured, bound = champion.lower_bound if champion and is_known else math.nan, -self.margin * scale
        return at_least(
            "non_inferiority",
            measured,
            bound,
            figure="lower bound of the improvement" + (" in log loss" if self.measure == "log_loss" else ""),
            unit=report.error.unit if self.measure == "error" else "",
            sentence=self._sentence(champion, report.error, bound),
        )

    def _sentence(self, champion: ChampionComparison | None, error: ErrorMeaning, bound: float) -> str:
        word, amount = words_of(self.measure, error)
        if champion is None:
            return f"the report holds no comparison with the champion in {word}"
        known = f"lower bound of the improvement {champion.lower_bound:+.4f} at {self.confidence}"
        if math.isnan(champion.lower_bound):
            known = f"no bound of the improvement, since the rows are of fewer than {FEWEST_BLOCKS} days"
        return (
            f"{word} {amount(champion.challenger_error)} against {amount(champion.error)} of version "
            f"{champion.model_version} on {champion.rows} recent rows; {known}, at least {bound:+.4g} required"
        )
