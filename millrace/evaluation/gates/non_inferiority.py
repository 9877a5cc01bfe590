"""The model is not worse than the champion on recent rows, by more than a margin.

After an alarm the gate is non-inferiority, not superiority: on a time-ordered stream a superiority test needs months.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from millrace.evaluation.gates.gate import Gate, Verdict, at_least
from millrace.evaluation.report import ChampionComparison, ErrorMeaning, Evaluation


class NonInferiority(Gate):
    recent_days: Annotated[int, Field(ge=1)]
    """Of the test days, so many last ones are compared."""
    margin: Annotated[float, Field(gt=0, lt=1)]
    """By how much the error may lie above the champion's: for numbers as a share of the champion's error."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    """Of the one-sided bound."""

    def judge(self, report: Evaluation) -> Verdict:
        """Passed when the lower bound of (champion's error − challenger's) is ≥ −margin.

        Without a comparison it fails: a report that forgot the champion must not pass."""
        champion = report.champion
        scale = champion.error if champion and not report.error.is_share else 1.0
        measured, bound = champion.lower_bound if champion else math.nan, -self.margin * scale
        return at_least(
            "non_inferiority",
            measured,
            bound,
            figure="lower bound of the improvement",
            unit=report.error.unit,
            sentence=self._sentence(champion, report.error, bound),
        )

    def _sentence(self, champion: ChampionComparison | None, error: ErrorMeaning, bound: float) -> str:
        if champion is None:
            return "the report holds no comparison with the champion"
        return (
            f"{error.name} {error.amount(champion.challenger_error)} against {error.amount(champion.error)} of version "
            f"{champion.model_version} on {champion.rows} recent rows; lower bound of the improvement "
            f"{champion.lower_bound:+.4f} at {self.confidence}, at least {bound:+.4g} required"
        )
